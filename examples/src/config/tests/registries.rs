//! Registries: where images go, and who logs in.

use super::{environment, parse, told};

#[test]
fn a_registry_is_read_with_its_login() {
    let config = parse(
        r#"
        registry = "https://registry.example.com:5000/shop/"
        [registries."registry.example.com:5000"]
        username = "deployer"
        password = "REGISTRY_PASSWORD"
        [environments.staging]
        [environments.production]
        registry = "ghcr.io/acme"
        docker_host = "tcp://production:2375"
        "#,
    );
    let text = |registry: &Option<_>| {
        registry.as_ref().map(|it: &ultrai_deploy_docker::registry::Destination| it.to_string())
    };
    assert_eq!(text(&config.registry).unwrap(), "registry.example.com:5000/shop");
    let production = config.environment(&environment("production")).unwrap();
    assert_eq!(text(&production.registry).unwrap(), "ghcr.io/acme");
    assert_eq!(production.docker_host.as_deref(), Some("tcp://production:2375"));
    assert!(config.environment(&environment("staging")).unwrap().registry.is_none());
    let login = &config.registries["registry.example.com:5000"];
    assert_eq!(
        (login.username.as_str(), login.password.as_str()),
        ("deployer", "REGISTRY_PASSWORD")
    );
    assert!(config.secrets.contains(&login.password));
}

#[test]
fn a_wrong_registry_is_told_with_its_place() {
    for (text, problem) in [
        ("registry = \"shop\"", "1:12: registry: \"shop\" is no registry to push to"),
        ("registries.shop.username = \"u\"", "1:12: registries.shop: \"shop\" is no registry"),
        ("[registries.\"r.io/a\"]\nusername = \"u\"\npassword = \"P\"", "is no registry; write"),
        ("[registries.\"r.io\"]\nusername = \"u\"", "`password` is missing"),
        ("[registries.\"r.io\"]\nusername = \" \"\npassword = \"P\"", "it is empty; write who"),
        (
            "backend = \"local\"\nregistry = \"r.io/shop\"\n[services.a]\ncommand=[\"a\"]",
            "belongs to the compose backend",
        ),
    ] {
        assert!(told(text).contains(problem), "{}", told(text));
    }
}
