//! SIGKILL of `ultrai` at random moments of a backup and of a restore. `ULTRAI_BACKUP_SEED` repeats
//! the moments of a run that was printed.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::app::{App, ULTRAI, json};

const KILLS: u32 = 10;
/// How long a command may take before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Random numbers by SplitMix64: the same seed gives the same moments everywhere.
struct Random(u64);

impl Random {
    fn printed() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = std::env::var("ULTRAI_BACKUP_SEED")
            .map_or_else(|_| u64::from(now.subsec_nanos()), |text| text.parse().unwrap());
        println!("ULTRAI_BACKUP_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Moments of something that takes so long: one in each of as many stretches.
    fn moments(&mut self, takes: Duration) -> Vec<Duration> {
        let stretch = takes / KILLS;
        let width = u64::try_from(stretch.as_micros()).unwrap().max(1);
        let moment = |number| stretch * number + Duration::from_micros(self.next() % width);
        (0..KILLS).map(moment).collect()
    }
}

/// An application that serves, with data beside it.
fn app() -> App {
    let app = App::new();
    let data = "[[data]]\nname = \"files\"\nkind = \"directory\"\npath = \"data\"\n\
                while = \"stopped\"\nservices = [\"web\"]";
    app.configure(ULTRAI, "port = \"auto\"", "APP_VERSION = \"1.0.0\"", data);
    fs::create_dir_all(app.path("data/deep")).unwrap();
    for number in 0..200 {
        fs::write(app.path(&format!("data/deep/{number}")), format!("{number}\n").repeat(2000))
            .unwrap();
    }
    app.deploy("1.0.0", 0);
    app
}

/// Everything below a directory.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What somebody made of the data since.
fn spoil(app: &App, number: usize) {
    fs::write(app.path("data/deep/7"), format!("spoilt {number}")).unwrap();
    fs::remove_file(app.path("data/deep/9")).unwrap();
    fs::write(app.path("data/newer"), number.to_string()).unwrap();
}

/// Starts a command and kills it after a time; whether it was still at work.
fn killed(app: &App, words: &[&str], after: Duration) -> bool {
    let began = Instant::now();
    let mut child = Command::new(ULTRAI)
        .arg("--state")
        .arg(app.path("state"))
        .args(words)
        .args(["-e", "production"])
        .current_dir(app.path(""))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if began.elapsed() >= after {
            child.kill().unwrap();
            return child.wait().unwrap().code().is_none();
        }
        assert!(began.elapsed() < PATIENCE, "{words:?} does not end");
        std::thread::park_timeout(Duration::from_micros(500));
    }
}

/// The backups that are told of, all of which are whole.
#[track_caller]
fn whole(app: &App) -> BTreeSet<String> {
    let names = |list: &Value, name: &str| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    let listed = names(&app.expect(0, &["backup", "list"]), "id");
    let verified = app.expect(0, &["backup", "verify"]);
    assert!(verified.as_array().unwrap().iter().all(|one| one["whole"] == true), "{verified}");
    assert_eq!(names(&verified, "backup"), listed);
    listed
}

#[test]
fn a_killed_backup_does_not_exist_and_leaves_nothing_stopped() {
    let app = app();
    let before = content(&app.path("data"));
    let began = Instant::now();
    app.expect(0, &["backup", "create"]);
    let takes = began.elapsed();
    let mut known = whole(&app);
    let (mut at_work, mut stopped) = (0, 0);
    for after in Random::printed().moments(takes) {
        at_work += u32::from(killed(&app, &["backup", "create"], after));
        let now = whole(&app);
        assert!(now.is_superset(&known) && now.len() <= known.len() + 1, "{now:?} {known:?}");
        known = now;
        stopped += u32::from(app.processes().is_empty());
        app.expect(0, &["resume"]);
        assert_eq!(app.processes().len(), 1, "what it stopped runs again");
    }
    println!("{at_work} of {KILLS} were at work, {stopped} left the service stopped");
    assert!(at_work > 0);
    app.expect(0, &["verify"]);
    assert_eq!(content(&app.path("data")), before);
}

#[test]
fn a_killed_restore_is_named_and_finished() {
    let app = app();
    let before = content(&app.path("data"));
    let kept = app.expect(0, &["backup", "create"]);
    let kept = kept["id"].as_str().unwrap();
    spoil(&app, 0);
    let began = Instant::now();
    app.expect(0, &["backup", "restore", kept]);
    let takes = began.elapsed();
    assert_eq!(content(&app.path("data")), before);
    let (mut at_work, mut half) = (0, 0);
    for (number, after) in Random::printed().moments(takes).into_iter().enumerate() {
        spoil(&app, number + 1);
        at_work += u32::from(killed(&app, &["backup", "restore", kept], after));
        assert!(whole(&app).contains(kept));
        let status = app.expect(0, &["status"]);
        let is_half = status["unfinished"]["half_restored"] == true;
        half += u32::from(is_half);
        // Finished by a command of its own, or by whoever comes next. One that had touched nothing is
        // not gone on with.
        let goes_on = number % 2 == 0;
        let resumed =
            if goes_on { json(&app.ultrai(&["resume", "-e", "production"])) } else { Value::Null };
        let is_back = resumed["ending"]["kind"] == "succeeded";
        let is_refused = resumed["ending"]["kind"] == "refused";
        assert!(is_back || !goes_on || !is_half, "{resumed}");
        assert!(is_back || !goes_on || is_refused || resumed["unfinished"].is_null(), "{resumed}");
        if !is_back {
            let again = app.expect(0, &["backup", "restore", kept]);
            assert_eq!(again["ending"]["kind"], "succeeded", "{again}");
        }
        assert_eq!(content(&app.path("data")), before, "killed after {after:?} of {takes:?}");
        assert_eq!(app.processes().len(), 1);
        assert!(app.expect(0, &["status"])["unfinished"].is_null());
    }
    println!("{at_work} of {KILLS} were at work, {half} left half of it");
    assert!(at_work > 0);
    whole(&app);
}
