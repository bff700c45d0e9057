//! Releases that destroy data.

use serde_json::Value;

use crate::ledger::Ledger;

/// All rows, keys and files are gone or changed.
#[track_caller]
fn assert_destroyed(ledger: &Ledger, before: &[String; 3]) {
    let now = ledger.all();
    for (now, before) in now.iter().zip(before) {
        assert_ne!(now, before);
    }
    assert!(now[0].contains("\"customers\" does not exist") && now[0].contains("newer"), "{now:?}");
}

/// The backup that has the data from before the run of a report.
fn kept_by(report: &Value) -> String {
    report["data"]["before"]["backup"].as_str().unwrap().to_owned()
}

const PARTS: [&str; 3] = ["cache/dump", "files/files", "orders/dump"];

fn sorted(parts: &Value) -> Vec<&str> {
    let mut parts: Vec<_> =
        parts.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
    parts.sort_unstable();
    parts
}

#[test]
fn a_release_that_fails_takes_back_what_it_did_to_data() {
    let ledger = Ledger::filled();
    let before = ledger.all();
    assert!(before[0].starts_with("20000|"), "{before:?}");
    ledger.will_destroy("data = \"restore\"");
    let failed = ledger.shop.deploy("v1.3.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_eq!(failed["migrations"].as_array().unwrap().len(), 3, "{failed}");
    let data = &failed["data"];
    assert_eq!(data["restored"]["went_back"], true, "{failed}");
    assert_eq!(sorted(&data["restored"]["parts"]), PARTS, "{failed}");
    assert_eq!(data["restored"]["backup"], data["before"]["backup"], "{failed}");
    assert_eq!(ledger.all(), before);
    ledger.assert_tidy();
    ledger.ultrai(&["verify"]).expect(0);

    // What it wrote is not lost either.
    let replaced = data["replaced"][0].as_str().unwrap();
    ledger.ultrai(&["backup", "restore", replaced]).expect(0);
    assert_destroyed(&ledger, &before);
    ledger.assert_tidy();
}

#[test]
fn the_report_names_the_command_that_brings_data_back() {
    let ledger = Ledger::filled();
    let before = ledger.all();
    ledger.will_destroy("data = \"keep\"");
    let words = ["deploy", "--tag", "v1.3.0", "--skip-build"];
    let told = ledger.ultrai(&words).expect(3).out;
    assert!(told.contains("Data was NOT rolled back"), "{told}");
    assert_destroyed(&ledger, &before);
    let backups = ledger.json(0, &["backup", "list"]);
    let (_, command) = told.split_once("`ultrai backup restore ").unwrap();
    // `ultrai` of the ledger adds the environment itself.
    let (id, rest) = command.split_once(" -e production`").unwrap();
    assert!(rest.starts_with(" brings that back."), "{told}");
    assert!(told.contains(&format!("Backup {id} has it as it was before")), "{told}");
    let ids: Vec<_> = backups.as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert!(ids.iter().any(|one| *one == id), "{id}: {ids:?}");

    let restored = ledger.json(0, &["backup", "restore", id]);
    assert_eq!(restored["ending"]["kind"], "succeeded", "{restored}");
    assert_eq!(restored["data"]["restored"]["backup"], id, "{restored}");
    assert_eq!(ledger.all(), before);
    ledger.assert_tidy();
    ledger.ultrai(&["backup", "verify"]).expect(0);
}

#[test]
fn a_rollback_on_request_brings_data_back_when_it_is_told_to() {
    let ledger = Ledger::filled();
    let before = ledger.all();
    ledger.will_destroy("");
    let deployed = ledger.shop.deploy("v1.1.0", 0);
    assert_destroyed(&ledger, &before);
    let back = ledger.json(0, &["rollback", "--with-data"]);
    assert_eq!(back["ending"]["kind"], "succeeded", "{back}");
    assert_eq!(back["data"]["restored"]["backup"], kept_by(&deployed), "{back}");
    assert_eq!(sorted(&back["data"]["restored"]["parts"]), PARTS, "{back}");
    assert_eq!(ledger.all(), before);
    ledger.assert_tidy();
    let serving = ledger.json(0, &["verify"]);
    assert_eq!(serving["version"], "v1.0.0", "{serving}");
}
