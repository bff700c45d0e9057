//! The reference in `docs/` keeps up with the code.

use super::{environment, parse, told, version};

/// Compose file and env file of the example are not there, so those two fields are left out.
#[test]
fn the_example_of_the_documentation_is_right() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let (_, example) = text.split_once("```toml").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let lines = example
        .lines()
        .filter(|line| !line.starts_with("compose =") && !line.starts_with("env_files ="))
        .collect::<Vec<_>>();
    let config = parse(&lines.join("\n"));
    let production = config.environment(&environment("production")).unwrap();
    let verification = config.verification(production, &version("1.0.0")).unwrap();
    assert_eq!((verification.checks.len(), verification.tasks.len()), (3, 1));
}

/// Every field that the code knows is in the documentation.
#[test]
fn every_field_is_documented() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let tables = [
        "",
        "[environments.x]",
        "[policy]",
        "[policy.deadlines]",
        "[policy.on_failure]",
        "[[check]]\nname = \"n\"\ntcp = \"x:1\"",
        "[[test]]\nname = \"n\"",
        "[services.x]",
        "[services.x.health]",
    ];
    for table in tables {
        let told = told(&format!("{table}\nzzzzzzzzzz = 1\n"));
        let (_, known) = told.split_once("known here: ").unwrap();
        for field in known.lines().next().unwrap().split(", ") {
            let forms = ["`{}`", "`[[{}]]`", "`[{}]`", "`[{}.NAME]`"];
            let documented = forms.iter().any(|form| text.contains(&form.replace("{}", field)));
            assert!(documented, "{table}: {field}");
        }
    }
}
