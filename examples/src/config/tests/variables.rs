//! `[variables.NAME]`, `undeclared` and `template`.

use ultrai_deploy_config::{Kind, Required, Undeclared};

use super::{parse, told};
use crate::config::{Backend, Template};

#[test]
fn variables_as_they_are_declared() {
    let config = parse(
        r#"
        undeclared = "warn"
        secrets = ["TOKEN"]
        [variables.PORT]
        type = "port"
        default = 8085
        description = "Where the API listens."
        [variables.LOG_LEVEL]
        values = ["debug", "info"]
        required = ["production", "staging"]
        example = "info"
        [variables.JWT_SECRET]
        secret = true
        min_length = 32
        [variables.EXPIRY]
        type = "integer"
        minimum = 60
        maximum = 3600
        required = false
        "#,
    );
    let declaration = &config.declaration;
    assert_eq!(declaration.undeclared, Undeclared::Warn);
    let port = &declaration.variables["PORT"];
    assert_eq!((port.kind, port.default.as_deref()), (Kind::Port, Some("8085")));
    assert_eq!(port.description.as_deref(), Some("Where the API listens."));
    assert_eq!(port.spot.as_ref().unwrap().to_string(), "deploy.toml:4:20");
    assert!(!port.is_required_in("production"));
    let level = &declaration.variables["LOG_LEVEL"];
    assert!(level.is_required_in("staging") && !level.is_required_in("development"));
    assert_eq!(level.example.as_deref(), Some("info"));
    let secret = &declaration.variables["JWT_SECRET"];
    assert!(secret.secret && secret.is_required_in("anything"));
    assert_eq!(secret.limits.min_length, Some(32));
    let expiry = &declaration.variables["EXPIRY"];
    assert_eq!((expiry.limits.minimum, expiry.limits.maximum), (Some(60), Some(3600)));
    assert_eq!(expiry.required, Required::Nowhere);
    // Listed secrets are declared, too; both count as secret everywhere.
    assert!(declaration.is_secret("TOKEN") && !declaration.variables["TOKEN"].is_required_in("x"));
    let secrets: Vec<_> = config.secrets.iter().map(ToString::to_string).collect();
    assert_eq!(secrets, ["JWT_SECRET", "TOKEN"]);
    assert_eq!(config.template, Template::Usual);
    assert_eq!(parse("template = false").template, Template::None);
}

#[test]
fn what_is_wrong_with_a_declaration() {
    for (text, problem) in [
        (
            "[variables.A]\ntype = \"prot\"",
            "2:8: variables.A.type: \"prot\" is not known; write \"text\", \"integer\", ",
        ),
        ("[variables.A]\ndefualt = 1", "2:1: variables.A.defualt: unknown field; did you mean"),
        ("[variables.A-B]", "1:12: variables.A-B: it is no name of an environment variable"),
        (
            "[variables.A]\ntype = \"port\"\ndefault = 70000",
            "3:11: variables.A.default: the default \"70000\" is refused; it must be a port from 1",
        ),
        (
            "[variables.A]\nsecret = true\ndefault = \"x\"",
            "3:1: variables.A.default: the default of a secret would stand in this file",
        ),
        (
            "[variables.A]\nrequired = [\"prod\"]",
            "2:13: variables.A.required[0]: there is no environment \"prod\"; did you mean \
             \"production\"?",
        ),
        ("[variables.A]\ndefault = []", "expected a text, a number, true or false"),
        ("undeclared = \"no\"", "1:14: undeclared: \"no\" is not known"),
        ("template = true", "1:12: template: expected a text or false"),
        ("template = \"none\"", "1:12: template: file none does not exist"),
        (
            "[variables.KEY]\nsecret = true\n[environments.x]\nvariables = { KEY = \"v\" }",
            "4:15: environments.x.variables.KEY: it is listed in `secrets`, and its value would",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(problem), "{text}\n{told}\n{problem}");
    }
}

#[test]
fn values_of_local_processes_have_variables_in_them() {
    use crate::config::Known;
    let config = parse(
        r#"
        backend = "local"
        project = "shop"
        [services.web]
        command = ["./web"]
        env = { URL = "http://${HOST:-localhost}:$PORT", PRICE = "$$5" }
        [services.bad]
        command = ["./bad"]
        env = { A = "$NO", B = "$KEY" }
        "#,
    );
    let Backend::Local { services } = &config.backend else { panic!("{config:?}") };
    let known = Known {
        lookup: &|name| (name == "PORT" || name == "KEY").then(|| "80".to_owned()),
        is_secret: &|name| name == "KEY",
    };
    let error = config.filled_env(services, &known).unwrap_err().to_string();
    for problem in [
        "9:21: services.bad.env.A: variable NO is not set; set NO",
        "9:32: services.bad.env.B: variable KEY is a secret, and its value would be stored",
    ] {
        assert!(error.contains(problem), "{error}");
    }
    let mut good = services.clone();
    good.retain(|name, _| name.as_str() == "web");
    let filled = config.filled_env(&good, &known).unwrap();
    let env: Vec<_> = filled.values().flatten().collect();
    assert_eq!(
        env,
        [
            (&"PRICE".to_owned(), &"$5".to_owned()),
            (&"URL".to_owned(), &"http://localhost:80".to_owned())
        ]
    );
}
