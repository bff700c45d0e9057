//! Layers put over each other: which wins, what is refused, what stays secret.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;
use ultrai_deploy_config::{
    Configuration, Declaration, Kind, Layers, Limits, Problems, Required, Spot, Undeclared, Value,
    Variable, diff, parity,
};
use ultrai_deploy_core::secret::Secret;

/// Files for their owner only.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(directory.path(), name, text, 0o600);
    }
    directory
}

fn write(directory: &Path, name: &str, text: &str, mode: u32) {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn declared(variable: Variable) -> Variable {
    Variable { spot: Some(Spot::line("deploy.toml", 7)), ..variable }
}

fn optional() -> Variable {
    declared(Variable { required: Required::Nowhere, ..Variable::default() })
}

fn lines(problems: &Problems, directory: &Path) -> Vec<String> {
    let prefix = format!("{}/", directory.display());
    problems.0.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn refused(layers: &Layers, declaration: &Declaration, directory: &Path) -> Vec<String> {
    lines(&layers.resolve(declaration).unwrap_err(), directory)
}

fn shown(configuration: &Configuration, name: &str, directory: &Path) -> (String, String) {
    let setting = &configuration.settings[name];
    let origin = setting.origin.to_string().replace(&format!("{}/", directory.display()), "");
    (setting.value.shown().to_owned(), origin)
}

#[test]
fn each_layer_wins_over_the_ones_before_it() {
    let files = directory(&[
        (".env", "A=1\n"),
        ("env.staging", "A=2\n"),
        (".env.staging", "# c\nA=3\n"),
        ("more.env", "A=4\n"),
        (".env.production", "A=wrong environment\n"),
    ]);
    let default = Variable { default: Some("0".into()), ..optional() };
    let declaration = Declaration::default().with("A", default);
    let base = Layers::new("staging");
    let at = files.path();
    let mut layers = base.clone();
    let mut expected = vec![("0".to_owned(), "default at deploy.toml:7".to_owned())];
    let resolve = |layers: &Layers| shown(&layers.resolve(&declaration).unwrap(), "A", at);
    assert_eq!(resolve(&layers), expected[0]);

    layers = base.with_files(at, [at.join("more.env")]);
    expected.push(("4".into(), "more.env:1".into()));
    assert_eq!(resolve(&layers), expected[1]);
    layers = layers.with_variable("A", "5", Spot::line("deploy.toml", 9));
    assert_eq!(resolve(&layers), ("5".into(), "deploy.toml:9".into()));
    layers = layers.with_process(map(&[("A", "6")]));
    assert_eq!(resolve(&layers), ("6".into(), "process variable A".into()));
    layers = layers.with_process(map(&[("A", "6"), ("ULTRAI_A", "7")]));
    assert_eq!(resolve(&layers), ("7".into(), "process variable ULTRAI_A".into()));
    layers = layers.with_argument("A", "8");
    assert_eq!(resolve(&layers), ("8".into(), "command line".into()));

    let configuration = layers.resolve(&declaration).unwrap();
    let shadowed: Vec<_> = configuration.settings["A"]
        .shadowed
        .iter()
        .map(|origin| origin.to_string().replace(&format!("{}/", at.display()), ""))
        .collect();
    assert_eq!(
        shadowed,
        [
            "process variable ULTRAI_A",
            "process variable A",
            "deploy.toml:9",
            "more.env:1",
            ".env.staging:2",
            "env.staging:1",
            ".env:1",
            "default at deploy.toml:7",
        ]
    );
}

#[test]
fn the_version_beats_everything_and_is_not_missed_before_there_is_one() {
    let declaration = Declaration::default().with("VERSION", declared(Variable::default()));
    let layers = Layers::new("staging");
    assert!(layers.resolve(&declaration).unwrap().get("VERSION").is_none());
    let layers = layers.with_argument("VERSION", "0.1.0").with_version("1.4.0");
    let found = layers.resolve(&declaration).unwrap();
    assert_eq!(found.get("VERSION").unwrap().expose(), "1.4.0");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let files = directory(&[
        (".env", "LOG_LEVEL=loud\nBAKEND_PORT=1\n"),
        (".env.production", "\nFRONTEND_PORT=abc\nJWT_EXPIRY=10\nEMPTY=\n"),
    ]);
    let words = Limits { values: vec!["debug".into(), "info".into()], ..Limits::default() };
    let port = Variable { kind: Kind::Port, example: Some("3000".into()), ..Variable::default() };
    let range = Limits { minimum: Some(60), ..Limits::default() };
    let declaration = Declaration::default()
        .with("LOG_LEVEL", declared(Variable { limits: words, ..Variable::default() }))
        .with("FRONTEND_PORT", declared(port.clone()))
        .with("BACKEND_PORT", declared(Variable { required: Required::Nowhere, ..port }))
        .with(
            "JWT_EXPIRY",
            declared(Variable { kind: Kind::Integer, limits: range, ..Variable::default() }),
        )
        .with("EMPTY", declared(Variable::default()))
        .with("JWT_SECRET", declared(Variable::secret()))
        .with(
            "STAGING_ONLY",
            declared(Variable {
                required: Required::In(vec!["staging".into()]),
                ..Variable::default()
            }),
        );
    let layers = Layers::new("production").with_files(files.path(), []);
    assert_eq!(
        refused(&layers, &declaration, files.path()),
        [
            ".env:1: LOG_LEVEL: \"loud\" is refused; it must be debug or info",
            ".env:2: BAKEND_PORT: it is not declared; did you mean BACKEND_PORT?",
            ".env.production:2: FRONTEND_PORT: \"abc\" is refused; it must be a port from 1 to \
             65535, for example 3000",
            ".env.production:3: JWT_EXPIRY: \"10\" is refused; it must be 60 or more",
            ".env.production:4: EMPTY: it is empty, and production needs one; set it in \
             .env.production, or as EMPTY or ULTRAI_EMPTY in the environment",
            "deploy.toml:7: JWT_SECRET: it has no value, and production needs one; set it in \
             .env.api_keys or a secret source, or as JWT_SECRET or ULTRAI_JWT_SECRET in the \
             environment",
        ]
    );
}

#[test]
fn what_nobody_declared_is_refused_told_or_allowed() {
    let files = directory(&[(".env", "OTHER=1\nCOMPOSE_PROFILES=a\n")]);
    let layers = Layers::new("staging")
        .with_files(files.path(), [])
        .with_variable("TABLE", "1", Spot::line("deploy.toml", 3))
        .with_argument("ARGUMENT", "1")
        .with_process(map(&[("PATH", "/bin"), ("ULTRAI_SOMETHING", "1")]));
    let mut declaration = Declaration::default().with("A", optional());
    let remedy = |name: &str| format!("declare it as [variables.{name}], or take it out");
    assert_eq!(
        refused(&layers, &declaration, files.path()),
        [
            format!("ARGUMENT: it is not declared; {}", remedy("ARGUMENT")),
            format!(".env:1: OTHER: it is not declared; {}", remedy("OTHER")),
            format!("deploy.toml:3: TABLE: it is not declared; {}", remedy("TABLE")),
        ]
    );
    declaration.undeclared = Undeclared::Warn;
    let found = layers.resolve(&declaration).unwrap();
    assert_eq!(found.warnings.len(), 3, "{:?}", found.warnings);
    declaration.undeclared = Undeclared::Allow;
    assert!(layers.resolve(&declaration).unwrap().warnings.is_empty());
    // Without a declaration nothing is misspelt, and a prefixed name is for the application.
    let found = layers.resolve(&Declaration::default()).unwrap();
    let names: Vec<_> = found.settings.keys().map(String::as_str).collect();
    assert_eq!(names, ["ARGUMENT", "COMPOSE_PROFILES", "OTHER", "SOMETHING", "TABLE"]);
}

#[test]
fn a_value_refers_to_what_is_above_or_before_it() {
    let files = directory(&[
        (".env", "HOST=a\nURL=http://${HOST}:${PORT}\nLATER=${AFTER}-\n"),
        (".env.staging", "HOST=b\nAFTER=x\nPORT=2\nSECOND=http://${HOST}:${PORT}\n"),
    ]);
    let port = Variable { default: Some("1".into()), ..optional() };
    let mut declaration = Declaration::default().with("PORT", port);
    declaration.undeclared = Undeclared::Allow;
    let layers = Layers::new("staging").with_files(files.path(), []);
    let value = |layers: &Layers, name: &str| {
        layers.resolve(&declaration).unwrap().get(name).unwrap().expose().to_owned()
    };
    assert_eq!(value(&layers, "URL"), "http://a:1");
    assert_eq!(value(&layers, "LATER"), "-");
    assert_eq!(value(&layers, "SECOND"), "http://b:2");
    let above = layers.with_process(map(&[("HOST", "c"), ("ULTRAI_PORT", "9")]));
    assert_eq!(value(&above, "URL"), "http://c:9");
    assert_eq!(value(&above, "HOST"), "c");
}

#[test]
fn secrets_and_what_is_made_from_them_are_never_shown() {
    let files = directory(&[
        (".env", "PASSWORD=hunter2-hunter2\nURL=redis://:${PASSWORD}@db\nCOPY=${URL}/0\nHOST=db\n"),
        (".env.api_keys", "OPENAI_API_KEY=canary-canary\n"),
    ]);
    let mut declaration = Declaration::default();
    declaration.add_secret("PASSWORD");
    declaration.add_secret("FROM_VAULT");
    let layers = Layers::new("production").with_files(files.path(), []).with_secret(
        "FROM_VAULT",
        Secret::new("sealed-sealed"),
        "vault",
        &["directory".to_owned()],
    );
    let found = layers.resolve(&declaration).unwrap();
    let secrets: Vec<_> = found.secrets().map(|(name, _)| name).collect();
    assert_eq!(secrets, ["COPY", "FROM_VAULT", "OPENAI_API_KEY", "PASSWORD", "URL"]);
    assert_eq!(found.get("COPY").unwrap().expose(), "redis://:hunter2-hunter2@db/0");
    assert_eq!(found.plain().collect::<Vec<_>>(), [("HOST", "db")]);
    assert_eq!(found.settings["FROM_VAULT"].origin.to_string(), "secret source vault");
    let weaker: Vec<_> =
        found.settings["FROM_VAULT"].shadowed.iter().map(ToString::to_string).collect();
    assert_eq!(weaker, ["secret source directory"]);
    let rows = serde_json::to_string(&found.rows(&declaration)).unwrap();
    for text in [rows, format!("{found:?}"), format!("{layers:?}")] {
        for canary in ["hunter2", "canary-", "sealed-"] {
            assert!(!text.contains(canary), "{text}");
        }
    }
}

#[test]
fn a_wrong_secret_is_refused_without_being_shown() {
    let files = directory(&[(".env.api_keys", "KEY=hunter2\n")]);
    let long = Limits { min_length: Some(32), ..Limits::default() };
    let declaration = Declaration::default()
        .with("KEY", declared(Variable { limits: long, ..Variable::secret() }));
    let layers = Layers::new("production").with_files(files.path(), []);
    assert_eq!(
        refused(&layers, &declaration, files.path()),
        [".env.api_keys:1: KEY: its value, which is secret, is refused; it must be at least 32 \
          characters long"]
    );
    let on_the_line = Layers::new("production").with_argument("KEY", &"x".repeat(32));
    let problems = refused(&on_the_line, &declaration, files.path());
    assert!(problems[0].contains("seen by everybody"), "{problems:?}");
}

#[test]
fn files_with_secrets_must_be_for_their_owner_only() {
    let files = directory(&[]);
    let at = files.path();
    write(at, ".env", "PORT=1\n", 0o644);
    write(at, ".env.staging", "PASSWORD=x\n", 0o644);
    let mut declaration = Declaration::default();
    let layers = Layers::new("staging").with_files(at, []);
    assert!(layers.resolve(&declaration).is_ok());
    declaration.add_secret("PASSWORD");
    let mend = |name: &str| format!("run chmod 600 {}", at.join(name).display());
    let complaint = |name: &str, mode: &str| {
        let file = at.join(name).display().to_string();
        format!(
            "{file}: it holds secrets, and others may read or write it (mode {mode}); {}",
            mend(name)
        )
    };
    let told = |layers: &Layers, declaration: &Declaration| {
        layers.resolve(declaration).unwrap_err().to_string()
    };
    assert_eq!(told(&layers, &declaration), complaint(".env.staging", "0644"));
    write(at, ".env.staging", "PASSWORD=x\n", 0o600);
    assert!(layers.resolve(&declaration).is_ok());
    // The file of keys is for secrets only, whatever stands in it.
    write(at, ".env.api_keys", "# none yet\n", 0o640);
    assert_eq!(told(&layers, &declaration), complaint(".env.api_keys", "0640"));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = directory(&[(".env", "A=1\nB='hunter2\n"), (".env.api_keys", "")]);
    let at = files.path();
    fs::write(at.join("env.staging"), b"A=1\nB=\xff\n").unwrap();
    fs::create_dir(at.join(".env.staging")).unwrap();
    let layers = Layers::new("staging").with_files(at, [at.join("gone.env")]);
    let problems = refused(&layers, &Declaration::default(), at);
    let text = problems.join("\n");
    assert!(text.contains(".env:2: the quote that begins the value of B is not closed"), "{text}");
    assert!(text.contains("env.staging:2: it is not UTF-8"), "{text}");
    assert!(text.contains(".env.staging: it is a directory and no file"), "{text}");
    assert!(text.contains("gone.env: it does not exist"), "{text}");
    assert!(text.contains("create it, or take it out of the list"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(problems.len(), 4, "{text}");
    // Who only looks gets what can be read.
    fs::write(at.join(".env"), "A=1\n").unwrap();
    let glance = layers.glance(&Declaration::default());
    assert_eq!(glance.plain().collect::<Vec<_>>(), [("A", "1")]);
}

#[test]
fn environments_are_compared_without_telling_secrets() {
    let files = directory(&[
        (".env", "SAME=1\n"),
        (".env.staging", "LEVEL=debug\nONLY=1\nKEY=shared-shared\nOWN=a-secret\n"),
        (".env.production", "LEVEL=info\nKEY=shared-shared\nOWN=b-secret\n"),
    ]);
    let mut declaration = Declaration::default();
    declaration.add_secret("KEY");
    declaration.add_secret("OWN");
    let resolve = |environment: &str| {
        Layers::new(environment).with_files(files.path(), []).resolve(&declaration).unwrap()
    };
    let (staging, production) = (resolve("staging"), resolve("production"));
    let found = diff(&staging, &production);
    let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["LEVEL", "ONLY", "OWN"]);
    assert_eq!(found[0].first.as_ref().unwrap().value, "debug");
    assert_eq!(found[2].first.as_ref().unwrap().value, "***");
    assert!(found[1].second.is_none());
    let warnings = parity(&staging, &production).join("\n");
    assert!(warnings.contains("ONLY is set in staging"), "{warnings}");
    assert!(warnings.contains("the secret KEY is the same"), "{warnings}");
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(matches!(staging.get("KEY"), Some(Value::Secret(_))));
}

#[test]
fn a_template_is_filled_in_from_all_layers() {
    let template = "# c\nPORT={{PORT}}\nURL=http://{{HOST}}:{{PORT}}/$PATH_OF_IT\n\
                    DATABASE=mongodb://u:{{PASSWORD}}@db\nOPTIONAL={{OPTIONAL}}\n";
    let files =
        directory(&[(".env", "HOST=a\nPATH_OF_IT=x\nPORT=1\n"), (".env.template", template)]);
    let at = files.path();
    let port = Variable { kind: Kind::Port, default: Some("8085".into()), ..optional() };
    let declaration = ["HOST", "PATH_OF_IT", "URL", "OPTIONAL", "DATABASE"]
        .into_iter()
        .fold(Declaration::default(), |all, name| all.with(name, optional()))
        .with("PORT", port)
        .with("PASSWORD", declared(Variable::secret()));
    let layers = Layers::new("staging")
        .with_files(at, [])
        .with_template(at.join(".env.template"))
        .with_process(map(&[("ULTRAI_PASSWORD", "a$b #'{{PORT}}\""), ("HOST", "b")]));
    let found = layers.resolve(&declaration).unwrap();
    let url = shown(&found, "URL", at);
    assert_eq!(url, ("http://b:1/x".into(), "template .env.template:3".into()));
    // What only repeats a layer comes from that layer, and what is not set stays so.
    assert_eq!(shown(&found, "PORT", at), ("1".into(), ".env:3".into()));
    assert!(found.get("OPTIONAL").is_none());
    // A value is not read again, and what is made from a secret is one.
    assert!(found.get("DATABASE").unwrap().is_secret());
    assert_eq!(found.get("DATABASE").unwrap().expose(), "mongodb://u:a$b #'{{PORT}}\"@db");
    let over = layers.with_argument("URL", "http://c");
    let found = over.resolve(&declaration).unwrap();
    assert_eq!(shown(&found, "URL", at).0, "http://c");
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_lines() {
    let template = "A={{MISSING}}\nB={{NOT_DECLARED}}\nMISPELT=1\nC={{\n";
    let files = directory(&[(".env.template", template)]);
    let at = files.path();
    let layers = Layers::new("staging").with_template(at.join(".env.template"));
    let declaration = ["A", "B", "C"]
        .into_iter()
        .fold(Declaration::default(), |all, name| all.with(name, optional()))
        .with("MISSPELT", optional())
        .with("MISSING", declared(Variable::default()));
    let problems = refused(&layers, &declaration, at);
    assert!(problems.iter().any(|one| one.starts_with(".env.template:4:")), "{problems:?}");

    write(at, ".env.template", &template.replace("C={{", "C="), 0o600);
    assert_eq!(
        refused(&layers, &declaration, at),
        [
            ".env.template:1: MISSING: it has no value, and staging needs one; set it in \
             .env.staging, or as MISSING or ULTRAI_MISSING in the environment",
            ".env.template:2: NOT_DECLARED: it is not declared; declare it as \
             [variables.NOT_DECLARED], or take it out",
            ".env.template:3: MISPELT: it is not declared; did you mean MISSPELT?",
        ]
    );
    // Without a declaration whatever is filled in has to be set.
    assert_eq!(
        refused(&layers, &Declaration::default(), at),
        [
            ".env.template:1: MISSING: it has no value; set it in .env.staging, or as MISSING or \
             ULTRAI_MISSING in the environment, or declare it with a default",
            ".env.template:2: NOT_DECLARED: it has no value; set it in .env.staging, or as \
             NOT_DECLARED or ULTRAI_NOT_DECLARED in the environment, or declare it with a default",
        ]
    );
}

#[test]
fn a_value_is_not_made_without_a_secret_that_only_a_later_file_sets() {
    let files = directory(&[
        (".env", "URL=redis://:${PASSWORD}@redis\nFINE=${PASSWORD:-}\n"),
        (".env.api_keys", "PASSWORD=canary\nOWN=redis://:${PASSWORD}@redis\n"),
    ]);
    let layers = Layers::new("staging").with_files(files.path(), []);
    let declaration = Declaration::default();
    assert_eq!(
        refused(&layers, &declaration, files.path()),
        [".env:1: URL: it refers to PASSWORD, which is set only later, at .env.api_keys:1; move \
             it behind that line, or write ${PASSWORD:-}"]
    );
    // What is above all files is no matter of their order.
    let layers = layers.with_process(map(&[("PASSWORD", "above")]));
    let resolved = layers.resolve(&declaration).unwrap();
    assert_eq!(resolved.get("URL").unwrap().expose(), "redis://:above@redis");
    assert_eq!(resolved.warnings, [""; 0]);
}

#[test]
fn what_refers_to_nothing_is_told() {
    let files = directory(&[(".env", "A=a${B}$NOWHERE$NOWHERE\nB=1\nC=${NOWHERE:-c}\n")]);
    let layers = Layers::new("staging").with_files(files.path(), []);
    let resolved = layers.resolve(&Declaration::default()).unwrap();
    assert_eq!(resolved.get("A").unwrap().expose(), "a");
    let prefix = format!("{}/", files.path().display());
    let warnings: Vec<_> = resolved.warnings.iter().map(|text| text.replace(&prefix, "")).collect();
    assert_eq!(
        warnings,
        [
            ".env:1: A refers to B, which is set only later, at .env:2; nothing takes its place",
            ".env:1: A refers to NOWHERE, which is not set; nothing takes its place",
        ]
    );
}

#[test]
fn no_secret_stands_in_a_template() {
    let files = directory(&[(".env.template", "KEY=hunter2-hunter2\nOTHER={{KEY}}-x\n")]);
    let at = files.path();
    let mut declaration = Declaration::default();
    declaration.add_secret("KEY");
    let layers = Layers::new("staging")
        .with_template(at.join(".env.template"))
        .with_process(map(&[("KEY", "from-the-process")]));
    assert_eq!(
        refused(&layers, &declaration, at),
        [
            ".env.template:1: KEY: its value, which is secret, stands in the template for everybody; \
          write {{KEY}} in its place"
        ]
    );
}

#[test]
fn a_secret_that_is_written_out_elsewhere_makes_that_one_secret() {
    let files = directory(&[(".env.api_keys", "KEY=hunter2-hunter2\nSHORT=redis\n")]);
    let process = map(&[("URL", "redis://:hunter2-hunter2@db"), ("HOST", "redis")]);
    let mut declaration = Declaration::default().with("URL", optional()).with("HOST", optional());
    declaration.undeclared = Undeclared::Allow;
    let layers = Layers::new("staging").with_files(files.path(), []).with_process(process);
    let found = layers.resolve(&declaration).unwrap();
    assert!(found.get("URL").unwrap().is_secret());
    assert_eq!(found.plain().collect::<Vec<_>>(), [("HOST", "redis")]);
}
