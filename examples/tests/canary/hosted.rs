//! Railway and Render, each with a memory, which get the values and say nothing of them.

use std::{fs, path::Path, process::Command, time::Duration};

use ultrai_deploy_testkit::hosted::{SERVICES, railway, render};

use crate::{
    platform::Platform,
    project::{Ended, Ground, SECRETS, SOURCES, check, echo, write_secrets},
    shop::{Shop, until},
    values::{OF_SERVICES, PEM, SPECIAL, TOKEN},
};

/// A release's secrets; what backups have of them is encrypted.
fn may(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    matches!(parts[..], [_, _, "releases", _, "secrets.json"])
}

struct Hosted<P: Platform> {
    shop: Shop<P>,
    ground: Ground,
    echo: String,
}

impl<P: Platform> Hosted<P> {
    async fn new() -> Self {
        let shop = Shop::<P>::new().await;
        let root = shop.path("");
        write_secrets(&root);
        shop.write_env("REGION=eu\n");
        let hosted = Self { ground: Ground::new(&root, may), shop, echo: echo() };
        hosted.configure("good", "", "");
        hosted
    }

    fn configure(&self, path: &str, policy: &str, more: &str) {
        let secrets = OF_SERVICES.map(|name| format!("\"{name}\"")).join(", ");
        let check = check(&self.echo, path);
        let text = self.shop.configuration(&format!("{check}\n{more}\n{SOURCES}"));
        let text = text.replace("secrets = [\"DATABASE_URL\"]", &format!("secrets = [{secrets}]"));
        let text = format!("{SECRETS}\n{text}\n[policy]\n{policy}\n");
        fs::write(self.ground.path("deploy.toml"), text).unwrap();
    }

    fn command(&self, format: &str, words: &[&str]) -> Command {
        let given = self.shop.command(words);
        // The last one wins.
        let mut command = Command::new(given.get_program());
        let words =
            given.get_args().map(|word| if word == "json" { format.as_ref() } else { word });
        command.args(words).env_clear();
        for (name, value) in given.get_envs() {
            command.env(name, value.unwrap());
        }
        command.current_dir(given.get_current_dir().unwrap()).env(P::VARIABLE, TOKEN.value);
        command
    }

    #[track_caller]
    fn expect(&self, format: &str, code: i32, words: &[&str]) -> Ended {
        self.ground.run(self.command(format, words)).expect(code)
    }

    fn set_takes(&self, takes: Duration, per_call: Duration) {
        let mut world = self.shop.world();
        world.set_takes(takes);
        world.traffic().clock.per_call = per_call;
    }

    fn under_way(&self, version: &str) {
        until("it is on its way", || {
            let newest = self.shop.world().newest("web");
            newest.is_some_and(|deploy| {
                deploy.what.image.is_some_and(|image| image.ends_with(version))
            })
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn railway_is_told_and_nobody_else() {
    story(&Hosted::<railway::World>::new().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn render_is_told_and_nobody_else() {
    let smoke = "[[test]]\nname = \"smoke\"\nservice = \"web\"\ncommand = [\"./sick-smoke\"]\n\
                 when = \"post\"\n";
    story(&Hosted::<render::World>::new().await, Some(smoke));
}

fn story<P: Platform>(hosted: &Hosted<P>, failing_test: Option<&str>) {
    let hour = Duration::from_hours(1);
    hosted.expect("text", 0, &["plan", "--tag", "1.0.0", "--save", "saved.json"]);
    hosted.expect("json", 0, &["deploy", "--plan", "saved.json"]);
    let started = hosted.shop.world().inside("api").started_with;
    for canary in [SPECIAL, PEM] {
        assert_eq!(started[canary.name], canary.value);
    }
    assert!(hosted.ground.search().iter().any(|path| path.ends_with("secrets.json")));
    hosted.expect("text", 0, &["deploy", "--tag", "1.1.0"]);

    // The platform says no; a check says no, and what it got back; a test says no.
    for format in ["text", "json"] {
        hosted.expect(
            format,
            3,
            &["deploy", "--tag", "1.2.0-sick", "--allow-failed", "1.2.0-sick"],
        );
        hosted.configure("bad", "", "");
        hosted.expect(format, 3, &["deploy", "--tag", "1.2.1", "--allow-failed", "1.2.1"]);
        if let Some(test) = failing_test {
            hosted.configure("good", "", test);
            hosted.expect(format, 3, &["deploy", "--tag", "1.2.2", "--allow-failed", "1.2.2"]);
        }
        hosted.configure("good", "", "");
    }

    hosted.configure("bad", "on_failure = { verify = \"hold\" }", "");
    for (version, words, code) in
        [("1.3.0", &["cancel"][..], 130), ("1.3.1", &["abandon", "--reason", "known"], 0)]
    {
        hosted.expect("text", 6, &["deploy", "--tag", version]);
        hosted.expect("json", 6, &["status"]);
        hosted.expect("text", code, words);
    }
    hosted.configure("good", "", "");

    for (version, then, code) in [("1.4.0", "resume", 0), ("1.4.1", "cancel", 0)] {
        hosted.set_takes(hour, Duration::ZERO);
        let mut deploy = hosted.ground.start(hosted.command("text", &["deploy", "--tag", version]));
        hosted.under_way(version);
        if then == "resume" {
            deploy.kill();
            hosted.ground.end(deploy);
            hosted.expect("text", 0, &["status"]);
            hosted.set_takes(Duration::from_secs(3), Duration::from_secs(1));
            hosted.shop.world().traffic().clock.advance(hour);
            hosted.expect("json", code, &["resume"]);
        } else {
            hosted.set_takes(Duration::from_secs(3), Duration::from_secs(1));
            hosted.expect("json", code, &["cancel"]);
            hosted.ground.end(deploy).expect(130);
        }
    }
    hosted.expect("text", 0, &["rollback"]);

    // The platform refuses the token.
    let mut command = hosted.command("json", &["deploy", "--tag", "1.5.0"]);
    command.env(P::VARIABLE, format!("{}wrong", TOKEN.value));
    let refused = hosted.ground.run(command);
    assert!([Some(1), Some(2)].contains(&refused.code), "{}", refused.out);

    for format in ["text", "json"] {
        for words in [
            &["status"][..],
            &["history"],
            &["backup", "list"],
            &["verify"],
            &["config", "show"],
            &["config", "check"],
            &["plan", "--tag", "1.6.0"],
        ] {
            hosted.expect(format, 0, words);
        }
    }
    for service in SERVICES {
        assert!(!hosted.shop.world().inside(service).is_busy);
    }
    hosted.ground.assert_tidy();
    hosted.ground.tell(P::BACKEND);
}
