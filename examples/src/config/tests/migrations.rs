//! `[[migration]]`.

use std::time::Duration;

use super::{parse, told};

const SERVICES: &str = "backend = \"local\"\nproject = \"p\"\n\
                        [services.api]\ncommand = [\"./api\"]\nport = 1\n";

#[test]
fn migrations_are_read_in_their_order() {
    let config = parse(&format!(
        "{SERVICES}\
         [[migration]]\nname = \"002 orders\"\nservice = \"api\"\ncommand = [\"./up\", \"2\"]\n\
         reversible = false\nrepeatable = true\ntimeout = \"1h\"\n\
         [[migration]]\nname = \"001\"\nservice = \"api\"\ncommand = [\"./up\"]\nreversible = true\n"
    ));
    let [first, second] = &config.migrations()[..] else { panic!("{config:?}") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("002 orders", "001"));
    assert_eq!(first.command, ["./up", "2"]);
    assert_eq!((first.reversible, first.repeatable, first.timeout.as_secs()), (false, true, 3600));
    assert_eq!((second.reversible, second.repeatable), (true, false));
    assert_eq!(second.timeout, Duration::from_mins(10));
}

#[test]
fn what_is_wrong_with_a_migration_is_told() {
    let one = "[[migration]]\nname = \"m\"\nservice = \"api\"\ncommand = [\"up\"]\n";
    let whole = format!("{one}reversible = true\n");
    for (text, expected) in [
        (one.to_owned(), "reversible"),
        (
            format!("{one}reversible = \"no\"\n"),
            "migration \"m\": reversible: expected true or false",
        ),
        (whole.replace("api", "apu"), "there is no service `apu`"),
        (format!("{whole}{whole}"), "has the same name"),
        (format!("{whole}when = \"pre\"\n"), "migration \"m\": when: unknown field"),
    ] {
        let told = told(&format!("{SERVICES}{text}"));
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_platform_runs_them_itself() {
    for kind in ["railway", "render"] {
        let own = if kind == "railway" { "[railway]\nproject = \"x\"\n" } else { "" };
        let told = told(&format!(
            "backend = \"{kind}\"\nproject = \"p\"\n{own}[services.api]\nimage = \"a:1\"\n\
             [[migration]]\nname = \"m\"\nservice = \"api\"\ncommand = [\"up\"]\nreversible = true\n"
        ));
        assert!(told.contains("migration \"m\""), "{told}");
        assert!(told.contains("pre_deploy_command = \"…\" in [services.api]"), "{told}");
    }
}
