//! Signals to a deploy under way, sent by a test command of the release, whose parent it is.

use crate::app::{App, said};

/// 1.0.0 serves, and 1.1.0 runs `command` when it is live.
fn deploying(command: &str) -> App {
    let app = App::new();
    app.configure_tested("1.0.0", 0, "");
    app.deploy("1.0.0", 0);
    app.configure_tested("1.1.0", 0, "");
    app.add(&format!(
        "[[test]]\nname = \"signals\"\nservice = \"web\"\nwhen = \"post\"\n\
         command = [\"sh\", \"-c\", '{command}']"
    ));
    app
}

const DEPLOY: &str = "ultrai --state state deploy --tag 1.1.0 -e production";

#[test]
fn a_closed_terminal_cancels_and_goes_back() {
    // However often it is told.
    let app = deploying("for i in 1 2 3 4 5; do kill -HUP $PPID; done");
    // Whatever the tests themselves were started under.
    let output = app.shell(&format!("exec env --default-signal=HUP {DEPLOY}"));
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("rolled back"), "{}", said(&output));
    assert_eq!(app.version(), "1.0.0");
}

#[test]
fn under_nohup_a_closed_terminal_does_nothing() {
    let app = deploying("kill -HUP $PPID");
    let output = app.shell(&format!("trap '' HUP; exec {DEPLOY}"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(app.version(), "1.1.0");
}

/// A second signal has the program leave at once; to cancel what is being cancelled is none.
#[test]
fn to_cancel_twice_is_to_cancel_once() {
    let app = App::new();
    let ultrai = format!(
        "{} --state {} cancel -e production",
        crate::app::ULTRAI,
        app.path("state").display()
    );
    let journals = app.path("state/shop/production/runs");
    let command = format!(
        "trap \"\" TERM; cd {}; {ultrai}; \
         until grep -q cancel_requested {}/*; do sleep 0.01; done; {ultrai} >{} 2>&1",
        app.path("").display(),
        journals.display(),
        app.path("told").display()
    );
    app.configure_tested("1.0.0", 0, "");
    app.deploy("1.0.0", 0);
    app.configure_tested("1.1.0", 0, "");
    app.add(&format!(
        "[[test]]\nname = \"signals\"\nservice = \"web\"\nwhen = \"post\"\n\
         command = [\"sh\", \"-c\", '{command}']"
    ));
    let output = app.shell(DEPLOY);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let told = std::fs::read_to_string(app.path("told")).unwrap();
    assert!(told.contains("was asked to stop before"), "{told}");
    assert_eq!(app.version(), "1.0.0");
}
