//! `[backups]`: where backups are kept, for whom they are encrypted, and for how long.

use std::path::PathBuf;

use ultrai_deploy_core::{name::SecretName, pipeline::Policy};

use super::{
    backend::Kind,
    files,
    reader::{Field, Table},
};

/// Where backups are kept, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backups {
    /// Where; in the state directory when nothing is said.
    pub store: Option<Location>,
    /// What they are decrypted with.
    pub identity: Identity,
    /// Who else can decrypt them: recipients of age.
    pub recipients: Vec<String>,
    /// Whether the images themselves are kept, and not only their names and digests.
    pub images: bool,
}

/// A place for what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine; absolute.
    Directory(PathBuf),
    /// A bucket, or whatever else an URL names.
    Url(String),
}

/// Where the identity of age is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// In the state directory of this machine, made when there is none (the default).
    #[default]
    Own,
    /// In this file.
    File(PathBuf),
    /// It is a secret.
    Secret(SecretName),
}

impl Backups {
    /// Whether what is kept elsewhere could be read with a key of this machine only.
    pub(super) fn is_lost_with_machine(&self, state: Option<&Location>) -> bool {
        let is_shared = matches!(state, Some(Location::Url(_)));
        let is_elsewhere = matches!(self.store, Some(Location::Url(_)));
        // Others who share the state have to read it; backups may be for others alone.
        self.identity == Identity::Own
            && (is_shared || (is_elsewhere && self.recipients.is_empty()))
    }

    /// The secret that is the identity.
    pub fn secret(&self) -> Option<&SecretName> {
        match &self.identity {
            Identity::Secret(name) => Some(name),
            Identity::Own | Identity::File(_) => None,
        }
    }
}

/// Reads `[backups]`; what it says of ages goes to the policy.
pub(super) fn read(
    mut table: Table<'_>,
    kind: Option<Kind>,
    root: &files::Root,
    policy: &mut Policy,
) -> Backups {
    let store = table.take("store").and_then(|field| location(&field));
    let file = table.take("identity_file");
    let named = table.take("identity");
    if let (Some(_), Some(named)) = (&file, &named) {
        named.problem(
            "there is `identity_file`, too",
            "write one of them: a file, or the name of a secret",
        );
    }
    let file = file.and_then(|field| field.text().map(|text| Identity::File(root.path(text))));
    let named =
        named.and_then(|field| field.parse(|text| SecretName::new(text))).map(Identity::Secret);
    let recipients = table.take("recipients").map(|field| recipients(&field)).unwrap_or_default();
    let images = Kind::take_own(kind, &mut table, "images", &[Kind::Compose]);
    let images = images.and_then(|field| field.switch()).unwrap_or_default();
    if let Some(age) = table.take("max_age").and_then(|field| field.duration()) {
        policy.backup_max_age = age;
    }
    if let Some(mut keep) = table.take("keep").and_then(|field| field.table()) {
        let rules = &mut policy.retention;
        for (name, rule) in [
            ("last", &mut rules.last),
            ("daily", &mut rules.daily),
            ("weekly", &mut rules.weekly),
            ("monthly", &mut rules.monthly),
        ] {
            if let Some(number) = keep.take(name).and_then(|field| field.number(0..=1000_u16)) {
                *rule = number.into();
            }
        }
        if let Some(within) = keep.take("within").and_then(|field| field.duration()) {
            rules.within = within;
        }
        keep.finish();
    }
    table.finish();
    Backups { store, identity: file.or(named).unwrap_or_default(), recipients, images }
}

/// A directory or an URL.
pub(super) fn location(field: &Field<'_>) -> Option<Location> {
    let text = field.text()?;
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Some(Location::Directory(path));
    }
    if text.contains("://") {
        return Some(Location::Url(text.to_owned()));
    }
    field.problem(
        "it must not depend on where the project lies, which is new on every CI run",
        "write an absolute path such as \"/srv/state\", or an URL such as \"s3://bucket/prefix\"",
    );
    None
}

fn recipients(field: &Field<'_>) -> Vec<String> {
    let items = field.items("[\"age1…\"]");
    items.iter().filter_map(recipient).collect()
}

fn recipient(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.starts_with("AGE-SECRET-KEY-") {
        // Never quoted: it is a secret.
        field.problem(
            "this is an identity, which is secret",
            "write the recipient that belongs to it, `age1…`, and make a new identity: this one \
             was in a file that is no secret",
        );
        return None;
    }
    if !text.starts_with("age1") {
        field.problem("this is no recipient of age", "write \"age1…\", as age-keygen prints it");
        return None;
    }
    Some(text.to_owned())
}
