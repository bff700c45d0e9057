//! Sources of secrets: what is wrong with them, and what they become.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use ultrai_deploy_core::{
    Chain as Causes, ErrorKind,
    name::{ProjectName, SecretName, Target},
    secret::SecretSource as _,
};

use super::{environment, parse, told};
use crate::config::Config;

fn at(name: &str) -> Target {
    Target::new(ProjectName::new("shop").unwrap(), environment(name))
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn labels(config: &Config, name: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let chain = config.secret_chain(&at(name), variables).unwrap();
    chain.labels().map(str::to_owned).collect()
}

#[test]
fn every_problem_is_told() {
    for (text, expected) in [
        ("", "1:1: secret_source 1: `kind` is missing; write kind = \"dotenv\", or another one"),
        (
            "kind = \"vaults\"",
            "2:8: secret_source 1: kind: \"vaults\" is not known; write \"environment\", \
             \"dotenv\", \"directory\", \"command\", \"vault\" or \"age\"",
        ),
        ("kind = \"dotenv\"", "1:1: secret_source 1: `path` is missing; write path = \"…\""),
        ("kind = \"environment\"\npath = \"x\"", "3:1: secret_source 1: path: unknown field"),
        (
            "kind = \"environment\"\nenvironments = [\"prod\"]",
            "3:17: secret_source: environments: there is no environment `prod`; did you mean \
             `production`?",
        ),
        (
            "kind = \"command\"\ncommand = \"sops\"",
            "3:11: secret_source 1: command: expected a list of words",
        ),
        (
            "kind = \"command\"\ncommand = [\"op\", \"read\"]",
            "1:1: secret_source 1: it prints a value, and nothing says of which secret; put {name} \
             into its arguments, or write only = [\"NAME\"]",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\nformat = \"dotenv\"\npointer = \"/a\"",
            "5:1: secret_source 1: pointer: it leads to a place in JSON; write format = \"json\"",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\nformat = \"json\"\npointer = \"a\"",
            "5:11: secret_source 1: pointer: a JSON Pointer begins with `/`",
        ),
        (
            "kind = \"vault\"\nurl = \"https://v:8200\"",
            "1:1: secret_source 1: it does not say what is read",
        ),
        (
            "kind = \"vault\"\nurl = \"v:8200\"\npath = \"app\"",
            "3:7: secret_source 1: url: `v` is not http or https",
        ),
        (
            "kind = \"vault\"\nurl = \"https://v\"\npath = \"app\"\nrole_id_env = \"R\"",
            "1:1: secret_source 1: it does not say how to log in; write role_id_env and \
             secret_id_env, or token_env alone",
        ),
        (
            "kind = \"vault\"\nurl = \"https://v\"\nnames = { A = \"app\" }",
            "4:15: secret_source 1: names.A: `app` names no key; write path#key",
        ),
        (
            "kind = \"vault\"\nurl = \"https://v\"\npath = \"/app\"",
            "4:8: secret_source 1: path: `/app` is no path",
        ),
        (
            "kind = \"vault\"\nurl = \"https://v\"\npath = \"app\"\ntoken = \"hvs.x\"",
            "5:1: secret_source 1: token: unknown field",
        ),
        (
            "kind = \"age\"\npath = \"s.age\"",
            "1:1: secret_source 1: it does not say with what it is decrypted",
        ),
        (
            "kind = \"age\"\npath = \"s.age\"\nidentity = \"k\"\nformat = \"value\"",
            "1:1: secret_source 1: a file holds several secrets",
        ),
    ] {
        let told = told(&format!("[[secret_source]]\n{text}"));
        assert!(told.contains(&format!("deploy.toml:{expected}")), "{text}:\n{told}");
    }
    let twins = "[[secret_source]]\nkind = \"environment\"\n".repeat(2);
    assert!(told(&twins).contains("line 1 has the same name"), "{}", told(&twins));
    let value = "[[secret_source]]\nkind = \"vault\"\nurl = \"https://v\"\npath = \"a\"\n\
                 token_env = \"hvs.hunter2\"";
    assert!(told(value).contains("it is no name of an environment variable"));
    assert!(!told(value).contains("hunter2"), "{}", told(value));
}

#[test]
fn the_order_is_that_of_the_file_and_of_the_environment() {
    let config = parse(
        "[[secret_source]]\nkind = \"dotenv\"\npath = \".env.{environment}\"\n\
         environments = [\"staging\", \"development\"]\n\
         [[secret_source]]\nkind = \"vault\"\nurl = \"https://vault.{environment}.example.com\"\n\
         path = \"{project}/{environment}\"\nenvironments = [\"staging\"]\n\
         role_id_env = \"ROLE\"\nsecret_id_env = \"ID\"\n\
         [[secret_source]]\nname = \"the rest\"\nkind = \"environment\"\n\
         environments = [\"staging\"]\n",
    );
    let known = variables(&[("ROLE", "hunter2-role"), ("ID", "hunter2-id")]);
    assert_eq!(
        labels(&config, "staging", &known),
        ["dotenv .env.staging", "vault https://vault.staging.example.com", "the rest"]
    );
    assert_eq!(labels(&config, "development", &known), ["dotenv .env.development"]);
    assert_eq!(labels(&config, "production", &known), ["environment"]);
    assert_eq!(labels(&parse(""), "production", &known), ["environment"]);

    let chain = config.secret_chain(&at("staging"), &known).unwrap();
    let shown = format!("{chain:?}");
    assert!(shown.contains("shop/staging"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");

    let error = config.secret_chain(&at("staging"), &variables(&[("ROLE", "x")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("the variable ID is not set"), "{error}");
}

#[test]
fn a_token_needs_tls_unless_said_otherwise() {
    let text = "[[secret_source]]\nkind = \"vault\"\nurl = \"http://vault:8200\"\npath = \"app\"\n";
    let known = variables(&[("VAULT_TOKEN", "hunter2"), ("OTHER", "hunter2")]);
    let error = parse(text).secret_chain(&at("staging"), &known).unwrap_err();
    assert!(error.to_string().contains("in clear text"), "{error}");
    let allowed = format!("{text}allow_http = true\ntoken_env = \"OTHER\"\n");
    parse(&allowed).secret_chain(&at("staging"), &known).unwrap();
    let error = parse(text).secret_chain(&at("staging"), &variables(&[])).unwrap_err();
    assert!(error.to_string().contains("VAULT_TOKEN is not set"), "{error}");
}

#[tokio::test]
async fn files_and_commands_lie_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deploy.toml");
    fs::write(
        &file,
        "[[secret_source]]\nkind = \"dotenv\"\npath = \".env.{project}\"\n\
         [[secret_source]]\nkind = \"directory\"\npath = \"secrets\"\noptional = true\n\
         [[secret_source]]\nkind = \"command\"\n\
         command = [\"sh\", \"./print\", \"{environment}\", \"{name}\"]\nonly = [\"B\"]\n\
         [[secret_source]]\nkind = \"age\"\npath = \"s.age\"\nidentity = \"key\"\n\
         environments = [\"production\"]\n",
    )
    .unwrap();
    let env = directory.path().join(".env.shop");
    fs::write(&env, "A=hunter2-a").unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(directory.path().join("print"), "echo hunter2-$1-$2").unwrap();
    let config = Config::load(Path::new(&file)).unwrap();
    let known = variables(&[("PATH", "/usr/bin:/bin")]);
    let chain = config.secret_chain(&at("staging"), &known).unwrap();
    let name = |text: &str| SecretName::new(text).unwrap();
    assert_eq!(chain.get(&name("A")).await.unwrap().unwrap().expose(), "hunter2-a");
    assert_eq!(chain.get(&name("B")).await.unwrap().unwrap().expose(), "hunter2-staging-B");
    assert!(chain.get(&name("C")).await.unwrap().is_none());
    let chain = config.secret_chain(&at("production"), &known).unwrap();
    let error = chain.get(&name("C")).await.unwrap_err();
    let text = Causes(&error).to_string();
    assert!(
        text.contains("source `age s.age`") && text.contains("s.age: it does not exist"),
        "{text}"
    );
}
