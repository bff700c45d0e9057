//! The reference in `docs/` keeps up with the code.

use std::path::Path;

use super::{environment, parse, told, version};
use crate::config::{
    Backend, Config, Known,
    hosted::{Artifact, Hosted},
};

/// Compose file and env file of the example are not there, so those two fields are left out.
#[test]
fn the_example_of_the_documentation_is_right() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let (_, example) = text.rsplit_once("```toml").unwrap();
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

#[test]
fn the_example_of_a_platform_is_right() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let (_, example) = text.split_once("```toml\nbackend = \"railway\"").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let config = parse(&format!("backend = \"railway\"{example}"));
    let staging = config.environment(&environment("staging")).unwrap();
    let verification = config.verification(staging, &version("1.0.0")).unwrap();
    assert_eq!(
        verification.checks[0].probe["http"]["at"]["url"],
        "https://staging.shop.example.com/health"
    );
}

/// The files to begin with say of both environments what runs there.
#[test]
fn the_examples_of_platforms_load() {
    for name in ["railway", "render"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("deploy.toml");
        let config = Config::load(&file).unwrap();
        let (Backend::Railway(Hosted { services, .. }) | Backend::Render(Hosted { services, .. })) =
            &config.backend
        else {
            panic!("{name}: {config:?}")
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let lookup = |name: &str| match name {
            "VERSION" => Some("1.4.0".to_owned()),
            "GITHUB_SHA" => Some(commit.to_owned()),
            _ => None,
        };
        let filled =
            config.filled(services, &Known { lookup: &lookup, is_secret: &|_| false }).unwrap();
        let artifacts: Vec<_> = filled.values().map(|one| one.artifact.clone()).collect();
        let image = "ghcr.io/example/shop-api:1.4.0".to_owned();
        assert_eq!(artifacts, [Artifact::Image(image), Artifact::Commit(commit.to_owned())]);
        for name in ["staging", "production"] {
            config.environment(&environment(name)).unwrap();
        }
    }
}

/// Every field that the code knows is in the documentation.
#[test]
fn every_field_is_documented() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let checks = [
        "",
        "[environments.x]",
        "[variables.X]",
        "[registries.\"r.io\"]",
        "[policy]",
        "[flags.X]",
        "[policy.deadlines]",
        "[policy.on_failure]",
        "[[check]]\nname = \"n\"\ntcp = \"x:1\"",
        "[[test]]\nname = \"n\"",
        "[[secret_source]]\nkind = \"environment\"",
        "[[secret_source]]\nkind = \"dotenv\"",
        "[[secret_source]]\nkind = \"command\"\ncommand = [\"x\"]",
        "[[secret_source]]\nkind = \"vault\"",
        "[[secret_source]]\nkind = \"age\"",
        "[[migration]]\nname = \"n\"",
        "[backups]",
        "[backups.keep]",
        "[[data]]\nname = \"n\"\nkind = \"command\"",
        "[[data]]\nname = \"n\"\nkind = \"volume\"",
        "[[rule]]\nname = \"n\"\nwhen = \"health_check_failed\"",
        "[[preflight]]\nkind = \"backup\"",
    ];
    let of_local =
        ["[[data]]\nname = \"n\"\nkind = \"directory\"", "[services.x]", "[services.x.health]"];
    let of_railway =
        ["", "[environments.x]", "[environments.x.railway]", "[railway]", "[services.x]"];
    let of_render = ["", "[environments.x]", "[environments.x.render]", "[render]", "[services.x]"];
    let with = |backend: &'static str, tables: &[&str]| {
        let tables = tables.iter().map(|table| format!("backend = \"{backend}\"\n{table}"));
        tables.collect::<Vec<_>>()
    };
    let tables = [
        with("compose", &checks),
        with("local", &of_local),
        with("railway", &of_railway),
        with("render", &of_render),
    ]
    .concat();
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
