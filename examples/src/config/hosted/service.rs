//! `[services.NAME]` of the hosted backends: what a slot runs, and with which variables.

use std::{collections::BTreeMap, path::PathBuf};

use ultrai_deploy_core::name::{SecretName, ServiceName};

use super::{extras::Extras, reference, take_name};
use crate::config::{
    Environment, Place, Problem,
    backend::{Kind, belongs_to},
    depends::Depends,
    environment::variable_fields,
    files::Root,
    reader::{Field, Table},
    service::secret_names,
    text::{self, Known, References, Text},
};

/// Fields of the local backend, and what is written here instead.
const LOCAL: [(&str, &str); 6] = [
    ("command", "take it out: the platform starts what the service there is set to"),
    ("env", "write variables = { … }"),
    ("port", "take it out: the platform chooses it"),
    ("health", "take it out, and write [[check]] with url, or path and base_url"),
    ("files", "take it out: they have to be in the image or in the commit"),
    ("stop_grace", "take it out, and set it on the platform"),
];

/// One service of a hosted backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What is deployed.
    pub artifact: Artifact<Text>,
    /// Variables that are set.
    pub variables: BTreeMap<String, Text>,
    /// Secrets that are set as variables of the same names.
    pub secrets: Vec<SecretName>,
    /// Services that must be there before it.
    pub depends_on: Vec<ServiceName>,
    /// What else goes with it.
    pub extras: Extras,
    pub(super) depends: Depends,
    slot: Option<String>,
    place: Place,
}

/// What a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Artifact<T> {
    /// An image, by its reference.
    Image(T),
    /// A commit of the repository that the slot is connected to.
    Commit(T),
    /// A directory, which is uploaded and built on Railway.
    Source(PathBuf),
}

/// What a service brings, with all variables filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filled {
    /// What is deployed.
    pub artifact: Artifact<String>,
    /// Variables that are set.
    pub variables: BTreeMap<String, String>,
}

impl Service {
    /// The platform's name or id of its slot in an environment.
    pub fn slot<'a>(&'a self, name: &'a ServiceName, environment: &'a Environment) -> &'a str {
        let there = environment.slots.get(name).map(|(slot, _)| slot);
        there.or(self.slot.as_ref()).map_or(name.as_str(), String::as_str)
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn filled(&self, known: &Known<'_>) -> Result<Filled, Vec<Problem>> {
        let artifact = match &self.artifact {
            Artifact::Image(image) => image.filled(known, reference::image).map(Artifact::Image),
            Artifact::Commit(commit) => {
                commit.filled(known, reference::commit).map(Artifact::Commit)
            }
            Artifact::Source(directory) => Ok(Artifact::Source(directory.clone())),
        };
        match (artifact, text::fill_all(&self.variables, known)) {
            (Ok(artifact), Ok(variables)) => Ok(Filled { artifact, variables }),
            (Ok(_), Err(problems)) => Err(problems),
            (Err(problem), Ok(_)) => Err(vec![problem]),
            (Err(problem), Err(mut problems)) => {
                problems.push(problem);
                Err(problems)
            }
        }
    }
}

pub(super) fn read(
    mut table: Table<'_>,
    kind: Kind,
    root: &Root,
    secrets: &[SecretName],
) -> Option<Service> {
    let slot = take_name(&mut table, "slot");
    let artifact = artifact(&mut table, kind, root);
    let extras = Extras::take(&mut table, kind);
    if let Some(Artifact::Commit(_) | Artifact::Source(_)) = &artifact
        && extras.registry.is_some()
    {
        table.problem("it has a registry's login and no image", "take `registry` out");
    }
    let own: Vec<_> = table.take("secrets").map(|field| secret_names(&field)).unwrap_or_default();
    let named: Vec<_> = own.iter().chain(extras.secrets()).cloned().collect();
    let variables = table.take("variables").map(|field| variables(&field, kind, secrets, &named));
    let depends = Depends::take(&mut table);
    for (name, remedy) in LOCAL {
        if let Some(field) = table.take_foreign(name) {
            field.name_problem(belongs_to(&[Kind::Local]), remedy);
        }
    }
    let place = table.place();
    table.finish();
    Some(Service {
        artifact: artifact?,
        variables: variables.unwrap_or_default(),
        secrets: own,
        depends_on: depends.names(),
        extras,
        depends,
        slot,
        place,
    })
}

/// Takes what is deployed: exactly one of its kinds.
fn artifact(table: &mut Table<'_>, kind: Kind, root: &Root) -> Option<Artifact<Text>> {
    let image = table.take("image");
    let commit = table.take("commit");
    let source = table.take("source");
    let fields = image.iter().chain(&commit).chain(&source);
    let set: Vec<_> = fields.map(|field| field.name.as_str()).collect();
    match set.as_slice() {
        [] => table.problem(
            "it is not said what is deployed",
            "write image = \"registry/name:${VERSION}\", or commit = \"${GITHUB_SHA}\" of the \
             repository that it is connected to",
        ),
        [_] => {}
        several => {
            let several = several.join(" and ");
            table.problem(format!("it has {several}"), "keep the one that is deployed");
            return None;
        }
    }
    if let Some(source) = source {
        if kind == Kind::Railway {
            return root.existing_directory(&source).map(Artifact::Source);
        }
        source.name_problem(
            belongs_to(&[Kind::Railway]),
            "write commit = \"…\" of the repository that it is connected to, or image = \"…\"",
        );
        return None;
    }
    let image = image.and_then(|field| Text::read(&field, References::Wrong, reference::image));
    let commit = commit.and_then(|field| Text::read(&field, References::Wrong, reference::commit));
    image.map(Artifact::Image).or(commit.map(Artifact::Commit))
}

fn variables(
    field: &Field<'_>,
    kind: Kind,
    secrets: &[SecretName],
    own: &[SecretName],
) -> BTreeMap<String, Text> {
    let references = if kind == Kind::Railway { References::Kept } else { References::Wrong };
    let secrets: Vec<_> = secrets.iter().chain(own).collect();
    let fields = variable_fields(field, &secrets);
    let read =
        |field: &Field<'_>| Some((field.name.clone(), Text::read(field, references, |_| Ok(()))?));
    fields.iter().filter_map(read).collect()
}
