//! Programs that print secrets, well-behaved and not.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;
use ultrai_deploy_core::{Chain, Error, ErrorKind, name::SecretName, secret::SecretSource};
use ultrai_deploy_secrets::{Command, Format};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

struct Lab(TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A script; it finds the laboratory in `$LAB`.
    fn command(&self, script: &str, words: &[&str], format: Format) -> Command {
        // Not run itself: what another test starts meanwhile may hold it open for writing.
        let path = self.path("script");
        fs::write(&path, script).unwrap();
        let path = path.to_str().unwrap();
        let environment = [
            ("PATH", "/usr/bin:/bin"),
            ("LAB", self.0.path().to_str().unwrap()),
            ("PASSED_ON", "yes"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let words = ["sh", path].into_iter().chain(words.iter().copied());
        Command::new(words, environment.into(), format).unwrap().with_timeout(LONG)
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).unwrap_or_default().lines().count()
    }
}

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

async fn value(source: &Command, key: &str) -> Option<String> {
    let value = source.get(&name(key)).await;
    value.unwrap_or_else(|error| panic!("{}", Chain(&error))).map(|value| value.expose().to_owned())
}

/// The error and its whole text, which holds nothing secret.
async fn error(source: &Command, key: &str) -> (Error, String) {
    let error = source.get(&name(key)).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(!text.contains("hunter2"), "{text}");
    (error, text)
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

fn pid_in(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

#[tokio::test]
async fn with_a_name_it_is_asked_for_each() {
    let lab = Lab::new();
    let script = "echo run >>$LAB/runs; test \"$(cat)\" = '' || exit 9\n\
                  test $PASSED_ON = yes && echo \"hunter2 of $1 $2\"";
    let source = lab.command(script, &["--for={name}", "$(id) ; {name}"], Format::Value);
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2 of --for=A $(id) ; A");
    assert_eq!(value(&source, "B").await.unwrap(), "hunter2 of --for=B $(id) ; B");
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2 of --for=A $(id) ; A");
    assert_eq!(lab.runs(), 2);
    assert!(!format!("{source:?}").contains("hunter2"));

    let source = lab.command(script, &["{name}"], Format::Value).only([name("A")]);
    assert_eq!(value(&source, "B").await, None);
    assert!(value(&source, "A").await.is_some());
}

#[tokio::test]
async fn without_a_name_it_runs_once_for_all() {
    let lab = Lab::new();
    let json = "echo run >>$LAB/runs; echo '{\"data\":{\"data\":{\"A\":\"hunter2\",\"N\":7}}}'";
    let source = Arc::new(lab.command(json, &[], Format::Json("/data/data".into())));
    let asked = (0..8).map(|_| {
        let source = Arc::clone(&source);
        async move { value(&source, "A").await }
    });
    for value in futures_util::future::join_all(asked).await {
        assert_eq!(value.unwrap(), "hunter2");
    }
    assert_eq!(value(&source, "B").await, None);
    let (_, text) = error(&source, "N").await;
    assert!(text.contains("N is a number"), "{text}");
    assert_eq!(lab.runs(), 1);

    let dotenv = lab.command("echo \"A='hunter2 x'\"; echo B=$PASSED_ON", &[], Format::Dotenv);
    assert_eq!(value(&dotenv, "A").await.unwrap(), "hunter2 x");
    assert_eq!(value(&dotenv, "B").await.unwrap(), "yes");

    let sole = lab.command("printf 'hunter2\\n\\n'", &[], Format::Value).only([name("A")]);
    assert_eq!(value(&sole, "A").await.unwrap(), "hunter2\n");
    assert_eq!(value(&sole, "B").await, None);
    let whose = lab.command("echo hunter2", &[], Format::Value);
    let (_, text) = error(&whose, "A").await;
    assert!(text.contains("nothing says of which secret"), "{text}");
}

#[tokio::test]
async fn json_and_dotenv_are_read_for_one_name_too() {
    let lab = Lab::new();
    let script = "echo \"{\\\"value of $1\\\":\\\"hunter2 $1\\\"}\"";
    let source = lab.command(script, &["{name}"], Format::Json("/value of {name}".into()));
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2 A");
    let source = lab.command(script, &["{name}"], Format::Json("/other".into()));
    let (told, text) = error(&source, "A").await;
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(text.contains("has nothing at /other"), "{text}");
    let source = lab.command("echo $1=hunter2", &["{name}"], Format::Dotenv);
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn a_failure_tells_the_exit_code_and_nothing_of_what_was_printed() {
    let lab = Lab::new();
    let script = "echo hunter2-hunter2; echo 'cannot use hunter2-hunter2: locked' >&2; exit 3";
    let (told, text) = error(&lab.command(script, &["{name}"], Format::Value), "A").await;
    assert_eq!(told.kind(), ErrorKind::Unavailable);
    assert!(text.contains("`sh` failed with exit code 3"), "{text}");
    assert!(text.contains("cannot use ***: locked"), "{text}");

    let (_, text) = error(&lab.command("kill -9 $$", &["{name}"], Format::Value), "A").await;
    assert!(text.contains("was ended by signal 9"), "{text}");
    let (_, text) = error(&lab.command("echo", &["{name}"], Format::Value), "A").await;
    assert!(text.contains("has no value for A"), "{text}");
    let (_, text) =
        error(&lab.command("printf 'hunter2\\377'", &["{name}"], Format::Value), "A").await;
    assert!(text.contains("not UTF-8"), "{text}");
    let json = lab.command("echo '{\"A\":\"hunter2'", &[], Format::Json(String::new()));
    let (_, text) = error(&json, "A").await;
    assert!(text.contains("is no JSON"), "{text}");
    let dotenv = lab.command("echo \"A='hunter2\"", &[], Format::Dotenv);
    let (_, text) = error(&dotenv, "A").await;
    assert!(text.contains("line 1"), "{text}");
}

#[tokio::test]
async fn a_program_that_is_none_says_so() {
    let environment = BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned())]);
    for program in ["op-of-nobody", "/nowhere/op", "sh"] {
        let source = Command::new([program], environment.clone(), Format::Dotenv).unwrap();
        let (told, text) = error(&source, "A").await;
        assert_eq!(told.kind(), ErrorKind::NotFound, "{text}");
        assert!(text.contains(&format!("`{program}` does not exist")), "{text}");
    }
    let source = Command::new(["/etc/passwd"], environment.clone(), Format::Dotenv).unwrap();
    assert_eq!(error(&source, "A").await.0.kind(), ErrorKind::Denied);
    assert!(Command::new([""; 0], environment.clone(), Format::Value).is_err());
    assert!(Command::new([""], environment, Format::Value).is_err());
}

#[tokio::test]
async fn a_relative_program_lies_in_its_directory() {
    let lab = Lab::new();
    lab.command("echo A=hunter2-$(pwd)", &[], Format::Dotenv);
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    symlink("/bin/sh", lab.path("tool")).unwrap();
    let source = Command::new(["./tool", "./script"], environment, Format::Dotenv).unwrap();
    let source = source.in_directory(lab.0.path());
    let directory = lab.0.path().canonicalize().unwrap();
    assert_eq!(value(&source, "A").await.unwrap(), format!("hunter2-{}", directory.display()));
}

#[tokio::test]
async fn what_hangs_is_killed_with_all_that_it_started() {
    let lab = Lab::new();
    let script = "echo hunter2; echo waiting >&2\n\
                  sh -c 'trap \"\" TERM INT; echo $$ >$LAB/child; sleep 1000' & sleep 1000";
    let source = lab.command(script, &["{name}"], Format::Value);
    let source = source.with_timeout(Duration::from_millis(2500));
    let began = Instant::now();
    let (told, text) = error(&source, "A").await;
    assert_eq!((told.kind(), told.is_retryable()), (ErrorKind::Timeout, true));
    assert!(text.contains("did not end within 2.5 s") && text.contains("waiting"), "{text}");
    assert!(began.elapsed() < LONG);
    let child = pid_in(&lab.path("child")).unwrap();
    until("the child is gone", || !is_running(&child)).await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_killed() {
    let lab = Lab::new();
    let script =
        "(trap '' TERM; sleep 1000) & echo $! >$LAB/child; echo $$ >$LAB/leader; sleep 1000";
    let source = lab.command(script, &["{name}"], Format::Value);
    let key = name("A");
    let asked = source.get(&key);
    let (leader, child) = (lab.path("leader"), lab.path("child"));
    tokio::select! {
        _ = asked => panic!("it ended"),
        () = until("it runs", || pid_in(&leader).is_some() && pid_in(&child).is_some()) => {}
    }
    for path in [leader, child] {
        let pid = pid_in(&path).unwrap();
        until("it is gone", || !is_running(&pid)).await;
    }
}

#[tokio::test]
async fn a_flood_is_stopped_at_its_bound() {
    let lab = Lab::new();
    let flood = lab.command("yes hunter2", &["{name}"], Format::Value);
    let (told, text) = error(&flood, "A").await;
    assert_eq!(told.kind(), ErrorKind::Invalid);
    assert!(text.contains("prints more than 1048576 bytes"), "{text}");
    let bound = lab.command("printf hunter2", &["{name}"], Format::Value);
    assert_eq!(value(&bound.with_limit(7), "A").await.unwrap(), "hunter2");
    let bound = lab.command("printf hunter2", &["{name}"], Format::Value).with_limit(6);
    assert!(error(&bound, "A").await.1.contains("more than 6 bytes"));

    // On its standard error it may say what it likes.
    let script = "yes hunter2 | head -c 3000000 >&2; echo end >&2; echo hunter2; exit 1";
    let (_, text) = error(&lab.command(script, &["{name}"], Format::Value), "A").await;
    assert!(text.contains("***\n***\nend"), "{text}");
}

#[tokio::test]
async fn what_keeps_the_output_open_is_not_waited_for() {
    let lab = Lab::new();
    let script = "sleep 1000 & echo $! >$LAB/child; echo hunter2";
    let source = lab.command(script, &["{name}"], Format::Value);
    let began = Instant::now();
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2");
    let child = pid_in(&lab.path("child")).unwrap();
    until("the child is gone", || !is_running(&child)).await;

    // What has left the group is beyond reach, and is not waited for either.
    let script = "setsid sleep 3 & echo hunter2";
    let source = lab.command(script, &["{name}"], Format::Value);
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2");
    assert!(began.elapsed() < LONG);
}
