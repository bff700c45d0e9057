//! `[[data]]`: what users of the application made, and how it is kept in backups.

use std::{collections::BTreeMap, path::PathBuf};

use ultrai_deploy_config::suggest;
use ultrai_deploy_core::name::{SecretName, ServiceName};

use super::{
    backend::Kind,
    check::{name, service},
    files,
    reader::{Field, Table},
    source::Place,
    test::command,
};

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Its name in backups.
    pub name: String,
    /// What it is.
    pub what: What,
    pub(super) place: Place,
    pub(super) service: Option<(ServiceName, Place)>,
}

/// What is kept, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// What commands in a service write and read.
    Dump(Dump),
    /// A named volume of a compose file.
    Volume {
        /// Its name in the compose file.
        name: String,
        /// Whether the services that can write to it stop while it is read.
        stops: bool,
        /// The image of the container that empties it, where that of its service has no shell.
        helper_image: Option<String>,
    },
    /// A directory of this machine.
    Directory {
        /// Where.
        path: PathBuf,
        /// Whether the services that write to it stop while it is read.
        stops: bool,
        /// These services.
        services: Vec<ServiceName>,
    },
}

/// Commands that write and read data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// The service in which they run.
    pub service: ServiceName,
    /// Which commands.
    pub by: By,
    /// Their variables.
    pub variables: BTreeMap<String, String>,
    /// Their variables whose values are secret.
    pub secrets: BTreeMap<String, SecretName>,
}

/// Which commands write and read data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// `pg_dump` and `pg_restore`.
    Postgres,
    /// `mongodump` and `mongorestore`.
    Mongodb,
    /// `redis-cli` and a second server.
    Redis,
    /// These two.
    Commands {
        /// Writes to its standard output.
        dump: Vec<String>,
        /// Reads from its standard input.
        restore: Vec<String>,
    },
}

#[derive(Clone, Copy)]
enum Word {
    Postgres,
    Mongodb,
    Redis,
    Command,
    Volume,
    Directory,
}

const DUMPS: [(&str, Word); 4] = [
    ("postgres", Word::Postgres),
    ("mongodb", Word::Mongodb),
    ("redis", Word::Redis),
    ("command", Word::Command),
];

impl Data {
    /// The secrets that its commands get.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let secrets = match &self.what {
            What::Dump(dump) => Some(dump.secrets.values()),
            What::Volume { .. } | What::Directory { .. } => None,
        };
        secrets.into_iter().flatten()
    }
}

/// Reads one `[[data]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    kind: Option<Kind>,
    root: &files::Root,
) -> Option<Data> {
    let place = table.place();
    if let Some(kind) = kind.filter(|kind| Kind::HOSTED.contains(kind)) {
        table.problem(
            format!("data of a {} environment is kept on the platform", kind.word()),
            "name what it keeps: `volumes` of [environments.NAME.railway], `databases` of \
             [environments.NAME.render]",
        );
        return None;
    }
    let name = name(&mut table, "data", number).filter(|name| {
        if name.contains('/') {
            table.problem("its name has a `/`", "parts of backups are named NAME/PART; use `-`");
        }
        !name.contains('/')
    });
    let own = match kind {
        Some(Kind::Local) => ("directory", Word::Directory),
        _ => ("volume", Word::Volume),
    };
    // The programs of databases are those in their images.
    let dumps = DUMPS.into_iter().skip(if kind == Some(Kind::Local) { 3 } else { 0 });
    let known: Vec<_> = dumps.chain([own]).collect();
    let words: Vec<_> = known.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let words = suggest::one_of(words.iter().map(String::as_str));
    let word = table
        .require("kind", &format!("write kind = {words}"))
        .and_then(|field| field.choice(&known))?;
    let mut in_service = None;
    let what = match word {
        Word::Volume => volume(&mut table),
        Word::Directory => directory(&mut table, root),
        Word::Postgres | Word::Mongodb | Word::Redis | Word::Command => {
            in_service = table
                .require("service", "name the service in which the commands run")
                .and_then(|field| service(&field));
            let dump = dump(&mut table, word, in_service.as_ref().map(|(name, _)| name));
            dump.map(What::Dump)
        }
    };
    table.finish();
    Some(Data { name: name?, what: what?, place, service: in_service })
}

fn volume(table: &mut Table<'_>) -> Option<What> {
    let name = table
        .require("volume", "write volume = \"NAME\", as under `volumes:` of the compose file")
        .and_then(|field| field.text().map(str::to_owned));
    let stops = stops(table);
    let helper_image = table.take("helper_image").and_then(|field| field.text().map(str::to_owned));
    Some(What::Volume { name: name?, stops: stops?, helper_image })
}

fn directory(table: &mut Table<'_>, root: &files::Root) -> Option<What> {
    let path = table
        .require("path", "write path = \"data\"")
        .and_then(|field| field.text().map(|text| root.path(text)));
    let stops = stops(table);
    let services = match table.take("services") {
        None => Vec::new(),
        Some(field) => {
            let items = field.items("[\"web\"]");
            items.iter().filter_map(|item| item.parse(|text| ServiceName::new(text))).collect()
        }
    };
    if stops == Some(true) && services.is_empty() {
        table.problem("no service is named that stops", "write services = [\"web\"]");
    }
    Some(What::Directory { path: path?, stops: stops?, services })
}

fn stops(table: &mut Table<'_>) -> Option<bool> {
    table
        .require(
            "while",
            "write while = \"stopped\", which stops the services that write to it for as long as it \
             is read, or while = \"running\" where files that change meanwhile do no harm",
        )
        .and_then(|field| field.choice(&[("stopped", true), ("running", false)]))
}

fn dump(table: &mut Table<'_>, word: Word, service: Option<&ServiceName>) -> Option<Dump> {
    let variables = table.take("variables").map(|field| texts(&field)).unwrap_or_default();
    let secrets = table.take("secrets").map(|field| secrets(&field)).unwrap_or_default();
    let by = match word {
        Word::Postgres => Some(By::Postgres),
        Word::Mongodb => Some(By::Mongodb),
        Word::Redis => Some(By::Redis),
        _ => {
            let dump = table
                .require("dump", "write dump = [\"sh\", \"-c\", \"…\"], which writes the data out")
                .and_then(|field| command(&field));
            let restore = table
                .require("restore", "write restore = [\"sh\", \"-c\", \"…\"], which reads them in")
                .and_then(|field| command(&field));
            dump.zip(restore).map(|(dump, restore)| By::Commands { dump, restore })
        }
    };
    Some(Dump { service: service?.clone(), by: by?, variables, secrets })
}

fn texts(field: &Field<'_>) -> BTreeMap<String, String> {
    let fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    let text = |field: &Field<'_>| Some((field.name.clone(), field.text()?.to_owned()));
    fields.iter().filter_map(text).collect()
}

/// Variables, and the secrets that are their values.
fn secrets(field: &Field<'_>) -> BTreeMap<String, SecretName> {
    let fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    let secret =
        |field: &Field<'_>| Some((field.name.clone(), field.parse(|text| SecretName::new(text))?));
    fields.iter().filter_map(secret).collect()
}
