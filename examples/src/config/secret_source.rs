//! `[[secret_source]]`: where the values of secrets come from, in order.

mod build;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ultrai_deploy_core::name::{EnvironmentName, SecretName};
use ultrai_deploy_http::address::HttpUrl;
use ultrai_deploy_secrets::{Absent, Format, vault::Place as VaultPlace};

use super::{
    backend::invalid,
    files,
    reader::{Field, Table},
    service::secret_names,
    source::Place,
    suggest,
    test::command,
};

pub(super) use self::build::{Around, chain};

/// Stands in texts for the name of the environment.
const ENVIRONMENT: &str = "{environment}";
/// Stands in texts for the name of the project.
const PROJECT: &str = "{project}";

/// A source of secrets, of which only environment and project are still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    label: String,
    environments: Vec<(EnvironmentName, Place)>,
    pub(super) place: Place,
    from: From,
}

impl SecretSource {
    /// What it is called in `ultrai config show` and in errors.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it is used in an environment.
    pub fn is_used_in(&self, environment: &EnvironmentName) -> bool {
        self.environments.is_empty()
            || self.environments.iter().any(|(name, _)| name == environment)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    Environment,
    Dotenv { path: PathBuf, absent: Absent },
    Directory { path: PathBuf, absent: Absent },
    Command { words: Vec<String>, format: Format, only: Option<Vec<SecretName>>, timeout: Duration },
    Vault(Box<Vault>),
    Age { path: PathBuf, key: Key, format: Format },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Vault {
    url: String,
    namespace: Option<String>,
    mount: String,
    path: Option<String>,
    names: BTreeMap<SecretName, VaultPlace>,
    login: Login,
    ca_file: Option<PathBuf>,
    allows_http: bool,
}

/// Variables of the process that one is let in with; the values are never in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Login {
    Token(String),
    AppRole { role_id: String, secret_id: String, mount: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Identity(PathBuf),
    /// The variable of the process that holds it.
    Passphrase(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Environment,
    Dotenv,
    Directory,
    Command,
    Vault,
    Age,
}

const KINDS: [(&str, Kind); 6] = [
    ("environment", Kind::Environment),
    ("dotenv", Kind::Dotenv),
    ("directory", Kind::Directory),
    ("command", Kind::Command),
    ("vault", Kind::Vault),
    ("age", Kind::Age),
];

/// Reads one `[[secret_source]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    files: &files::Root,
) -> Option<SecretSource> {
    table.rename(&format!("secret_source {number}"));
    let place = table.place();
    let name = table.take("name").and_then(|field| label(&field));
    let environments = table.take("environments").map(|field| {
        let items = field.items("[\"production\"]");
        let parsed = items.iter().filter_map(|item| {
            Some((item.parse(|text| EnvironmentName::new(text))?, item.place()))
        });
        parsed.collect()
    });
    let field = table.require("kind", "write kind = \"dotenv\", or another one");
    let kind = field.and_then(|field| field.choice(&KINDS))?;
    let mut reading = Reading { table: &mut table, files };
    let from = match kind {
        Kind::Environment => Some((From::Environment, String::new())),
        Kind::Dotenv => reading.file(|path, absent| From::Dotenv { path, absent }),
        Kind::Directory => reading.file(|path, absent| From::Directory { path, absent }),
        Kind::Command => reading.command(),
        Kind::Vault => reading.vault(),
        Kind::Age => reading.age(),
    };
    table.finish();
    let (from, of) = from?;
    let word = KINDS.iter().find(|(_, other)| *other == kind).map_or("", |(word, _)| word);
    let label = name.unwrap_or_else(|| format!("{word} {of}").trim_end().to_owned());
    Some(SecretSource { label, environments: environments.unwrap_or_default(), place, from })
}

/// Refuses environments that are not known.
pub(super) fn unknown_environments<'a>(
    sources: &'a [SecretSource],
    known: &'a BTreeMap<EnvironmentName, super::Environment>,
) -> impl Iterator<Item = super::Problem> + 'a {
    let named = sources.iter().flat_map(|source| source.environments.iter());
    named.filter(|(name, _)| !known.contains_key(name)).map(|(name, place)| {
        let words = || known.keys().map(EnvironmentName::as_str);
        let meant = suggest::nearest(name.as_str(), words());
        super::Problem {
            place: *place,
            field: "secret_source: environments".to_owned(),
            what: format!("there is no environment `{name}`"),
            remedy: match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known: {}", words().collect::<Vec<_>>().join(", ")),
            },
        }
    })
}

fn label(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        field.problem("it is empty or has control characters", "write a few words on one line");
        return None;
    }
    Some(text.to_owned())
}

/// A text in which the names are still open, checked with names put in.
fn open<T>(
    field: &Field<'_>,
    parse: impl FnOnce(&str) -> ultrai_deploy_core::Result<T>,
) -> Option<String> {
    let text = field.text()?;
    let filled = text.replace(ENVIRONMENT, "x").replace(PROJECT, "x");
    field.parse(|_| parse(&filled))?;
    Some(text.to_owned())
}

fn some(text: &str) -> ultrai_deploy_core::Result<()> {
    if text.trim().is_empty() { Err(invalid("it is empty".to_owned())) } else { Ok(()) }
}

/// A path as Vault has them.
fn plain(text: &str) -> ultrai_deploy_core::Result<()> {
    format!("{text}#key").parse::<VaultPlace>().map(drop)
}

fn variable(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty() || !text.chars().all(is_name) {
        // It is not shown: it may be the value itself.
        field.problem(
            "it is no name of an environment variable",
            "write the name of the variable that holds the value, never the value",
        );
        return None;
    }
    Some(text.to_owned())
}

struct Reading<'a, 'b> {
    table: &'a mut Table<'b>,
    files: &'a files::Root,
}

impl Reading<'_, '_> {
    fn path(&mut self, name: &'static str, remedy: &str) -> Option<(PathBuf, String)> {
        let field = self.table.require(name, remedy)?;
        let text = open(&field, some)?;
        Some((self.files.path(&text), text))
    }

    fn file(&mut self, make: impl FnOnce(PathBuf, Absent) -> From) -> Option<(From, String)> {
        let path = self.path("path", "write path = \"…\", relative to the directory of this file");
        let optional = self.table.take("optional").and_then(|field| field.switch());
        let absent = if optional == Some(true) { Absent::Empty } else { Absent::Error };
        path.map(|(path, text)| (make(path, absent), text))
    }

    fn format(&mut self, default: Format) -> Option<Format> {
        let formats = [Format::Value, Format::Dotenv, Format::Json(String::new())];
        let [value, dotenv, json] = formats.each_ref();
        let word = self.table.take("format").map(|field| {
            field.choice(&[("value", value), ("dotenv", dotenv), ("json", json)]).cloned()
        });
        let pointer = self.table.take("pointer");
        let format = word.unwrap_or(Some(default))?;
        match (format, pointer) {
            (Format::Json(_), Some(field)) => {
                let pointer = open(&field, |text| {
                    if text.is_empty() || text.starts_with('/') {
                        return Ok(());
                    }
                    Err(invalid("a JSON Pointer begins with `/`".to_owned())
                        .with_advice("write \"/data/data\" for data in data"))
                })?;
                Some(Format::Json(pointer))
            }
            (_, Some(field)) => {
                field.name_problem("it leads to a place in JSON", "write format = \"json\", too");
                None
            }
            (format, None) => Some(format),
        }
    }

    fn command(&mut self) -> Option<(From, String)> {
        let words = self.table.require("command", "write command = [\"sops\", \"-d\", \"file\"]");
        let words = words.and_then(|field| command(&field));
        let format = self.format(Format::Value);
        let only = self.table.take("only").map(|field| secret_names(&field));
        let timeout = self.table.take("timeout").and_then(|field| field.some_duration());
        let (words, format) = (words?, format?);
        let is_open = |text: &String| text.contains("{name}");
        let in_pointer = matches!(&format, Format::Json(pointer) if is_open(pointer));
        let for_each = words.iter().skip(1).any(is_open) || in_pointer;
        if format == Format::Value && !for_each && only.as_ref().is_none_or(|only| only.len() != 1)
        {
            self.table.problem(
                "it prints a value, and nothing says of which secret",
                "put {name} into its arguments, or write only = [\"NAME\"]",
            );
            return None;
        }
        let program = words.first().cloned().unwrap_or_default();
        let timeout = timeout.unwrap_or(Duration::from_secs(30));
        Some((From::Command { words, format, only, timeout }, program))
    }

    fn vault(&mut self) -> Option<(From, String)> {
        let url = self.table.require("url", "write url = \"https://…:8200\"");
        let url = url.and_then(|field| open(&field, HttpUrl::parse));
        let mut text = |name| self.table.take(name).and_then(|field| open(&field, plain));
        let (namespace, mount, path) = (text("namespace"), text("mount"), text("path"));
        let login_mount = text("login_mount");
        let names = self.table.take("names").map(|field| names(&field)).unwrap_or_default();
        let mut name = |name| self.table.take(name).map(|field| variable(&field));
        let token = name("token_env");
        let (role_id, secret_id) = (name("role_id_env"), name("secret_id_env"));
        let ca_file = self.table.take("ca_file").and_then(|field| open(&field, some));
        let allows_http = self.table.take("allow_http").and_then(|field| field.switch());
        if path.is_none() && names.is_empty() {
            self.table.problem(
                "it does not say what is read",
                "write path = \"…\", a document with a key for each secret, or names",
            );
        }
        let login = match (token, role_id, secret_id) {
            (token, None, None) if login_mount.is_none() => {
                Login::Token(token.unwrap_or_else(|| Some("VAULT_TOKEN".to_owned()))?)
            }
            (None, Some(role_id), Some(secret_id)) => {
                let mount = login_mount.unwrap_or_else(|| "approle".to_owned());
                Login::AppRole { role_id: role_id?, secret_id: secret_id?, mount }
            }
            _ => {
                self.table.problem(
                    "it does not say how to log in",
                    "write role_id_env and secret_id_env, or token_env alone",
                );
                return None;
            }
        };
        let vault = Vault {
            url: url?,
            namespace,
            mount: mount.unwrap_or_else(|| "secret".to_owned()),
            path,
            names,
            login,
            ca_file: ca_file.map(|text| self.files.path(&text)),
            allows_http: allows_http == Some(true),
        };
        let of = vault.url.clone();
        Some((From::Vault(Box::new(vault)), of))
    }

    fn age(&mut self) -> Option<(From, String)> {
        let path = self.path("path", "write path = \"secrets.env.age\"");
        let identity = self.table.take("identity");
        let passphrase = self.table.take("passphrase_env");
        let format = self.format(Format::Dotenv);
        if format == Some(Format::Value) {
            self.table
                .problem("a file holds several secrets", "write format = \"dotenv\" or \"json\"");
            return None;
        }
        let key = match (identity, passphrase) {
            (Some(field), None) => {
                open(&field, some).map(|text| Key::Identity(self.files.path(&text)))
            }
            (None, Some(field)) => variable(&field).map(Key::Passphrase),
            _ => {
                self.table.problem(
                    "it does not say with what it is decrypted",
                    "write identity = \"key.txt\" or passphrase_env = \"VARIABLE\"",
                );
                None
            }
        };
        let (path, text) = path?;
        Some((From::Age { path, key: key?, format: format? }, text))
    }
}

fn names(field: &Field<'_>) -> BTreeMap<SecretName, VaultPlace> {
    let fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    let places = fields.iter().filter_map(|field| {
        let name = field.parse_name(|text| SecretName::new(text));
        let place = field.parse(str::parse::<VaultPlace>);
        Some((name?, place?))
    });
    places.collect()
}
