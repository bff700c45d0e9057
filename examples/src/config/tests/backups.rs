//! `[backups]` and `[[data]]`.

use std::{path::PathBuf, time::Duration};

use ultrai_deploy_core::{
    name::{SecretName, ServiceName},
    pipeline::DataPolicy,
    retention::Retention,
};

use super::{parse, told};
use crate::config::{Backups, By, Dump, Identity, Location, What};

#[test]
fn what_is_kept_where_and_for_how_long() {
    let config = parse(
        r#"
        state = "s3://bucket/ultrai"

        [policy]
        data = "restore"
        restore_deadline = "1h"

        [backups]
        store = "/srv/backups"
        identity = "BACKUP_KEY"
        recipients = ["age1qqqq"]
        images = true
        max_age = "1m"
        keep = { last = 3, within = "2d", daily = 7, weekly = 4, monthly = 12 }

        [[data]]
        name = "orders"
        kind = "postgres"
        service = "db"
        variables = { PGDATABASE = "shop" }
        secrets = { PGPASSWORD = "DB_PASSWORD" }

        [[data]]
        name = "uploads"
        kind = "volume"
        volume = "files"
        while = "stopped"
        helper_image = "busybox"
        "#,
    );
    assert_eq!(config.state, Some(Location::Url("s3://bucket/ultrai".to_owned())));
    let key = SecretName::new("BACKUP_KEY").unwrap();
    let password = SecretName::new("DB_PASSWORD").unwrap();
    assert_eq!(
        config.backups,
        Backups {
            store: Some(Location::Directory(PathBuf::from("/srv/backups"))),
            identity: Identity::Secret(key.clone()),
            recipients: vec!["age1qqqq".to_owned()],
            images: true,
        }
    );
    assert_eq!(config.policy.data, DataPolicy::Restore);
    assert_eq!(config.policy.backup_max_age, Duration::from_mins(1));
    assert_eq!(config.policy.restore_deadline, Duration::from_hours(1));
    let within = Duration::from_hours(48);
    let rules = Retention { last: 3, within, daily: 7, weekly: 4, monthly: 12 };
    assert_eq!(config.policy.retention, rules);
    let dump = Dump {
        service: ServiceName::new("db").unwrap(),
        by: By::Postgres,
        variables: [("PGDATABASE".to_owned(), "shop".to_owned())].into(),
        secrets: [("PGPASSWORD".to_owned(), password.clone())].into(),
    };
    let helper_image = Some("busybox".to_owned());
    let volume = What::Volume { name: "files".to_owned(), stops: true, helper_image };
    let kept: Vec<_> = config.data.into_iter().map(|one| (one.name, one.what)).collect();
    assert_eq!(kept, [("orders".to_owned(), What::Dump(dump)), ("uploads".to_owned(), volume)]);
    assert!(config.secrets.contains(&key) && config.secrets.contains(&password));
}

#[test]
fn what_is_wrong_is_told_with_what_to_write() {
    for (text, why) in [
        ("state = \"state\"", "1:9: state: it must not depend on where the project lies"),
        (
            "state = \"s3://bucket/x\"",
            "1:1: backups: what is kept elsewhere would be encrypted for a key that only this \
             machine has; write identity_file",
        ),
        ("[backups]\nstore = \"s3://bucket/x\"", "only this machine has"),
        (
            "[backups]\nidentity = \"A\"\nidentity_file = \"b\"",
            "2:12: backups.identity: there is `identity_file`, too",
        ),
        (
            "[backups]\nrecipients = [\"AGE-SECRET-KEY-1XYZ\"]",
            "2:15: backups.recipients[0]: this is an identity, which is secret",
        ),
        ("[backups]\nrecipients = [\"me\"]", "this is no recipient of age; write \"age1…\""),
        ("[backups]\nkeep = { last = -1 }", "backups.keep.last: -1 is out of range"),
        ("[[data]]\nname = \"a/b\"\nkind = \"redis\"\nservice = \"r\"", "its name has a `/`"),
        (
            "[[data]]\nname = \"a\"",
            "`kind` is missing; write kind = \"postgres\", \"mongodb\", \"redis\", \"command\" or \
             \"volume\"",
        ),
        (
            "backend = \"local\"\nproject = \"p\"\n[[data]]\nname = \"a\"\nkind = \"redis\"",
            "\"redis\" is not known; write \"command\" or \"directory\"",
        ),
        (
            "[[data]]\nname = \"a\"\nkind = \"volume\"\nvolume = \"v\"",
            "data \"a\": `while` is missing; write while = \"stopped\"",
        ),
        (
            "backend = \"local\"\nproject = \"p\"\n[[data]]\nname = \"a\"\nkind = \"directory\"\n\
             path = \"d\"\nwhile = \"stopped\"",
            "no service is named that stops; write services",
        ),
        (
            "[[data]]\nname = \"a\"\nkind = \"command\"\nservice = \"s\"\ndump = [\"x\"]",
            "data \"a\": `restore` is missing",
        ),
        (
            "backend = \"render\"\nproject = \"p\"\n[[data]]\nname = \"a\"",
            "data of a render environment is kept on the platform; name what it keeps",
        ),
        (
            "[[data]]\nname = \"a\"\nkind = \"redis\"\nservice = \"r\"\n\
             [[data]]\nname = \"a\"\nkind = \"redis\"\nservice = \"r\"",
            "data \"a\"",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(why), "{text}\n  {told}");
        assert!(!told.contains("1XYZ"), "{told}");
    }
}
