//! `[flags.NAME]`: variables of the environment that switch something on or off.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::name::{EnvironmentName, SecretName};

use super::{
    environment,
    reader::{Field, Table},
    source::Place,
};

/// A flag that is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Where it must be configured; nothing for everywhere.
    pub(super) environments: Option<BTreeMap<EnvironmentName, Place>>,
}

/// Reads `[flags]`; each name is that of a variable.
pub(super) fn read_all(field: &Field<'_>, secrets: &[SecretName]) -> BTreeMap<String, Flag> {
    let secrets: Vec<_> = secrets.iter().collect();
    let fields = environment::variable_fields(field, &secrets);
    let read = |field: Field<'_>| Some((field.name.clone(), read(field.table()?)));
    fields.into_iter().filter_map(read).collect()
}

fn read(mut table: Table<'_>) -> Flag {
    // For whoever reads the file.
    let _description = table.take("description").and_then(|field| field.text());
    let environments = table.take("environments").map(|field| {
        let items = field.items("[\"production\"]");
        let name =
            |item: &Field<'_>| Some((item.parse(|text| EnvironmentName::new(text))?, item.place()));
        items.iter().filter_map(name).collect()
    });
    table.finish();
    Flag { environments }
}

impl Flag {
    /// Whether it must be configured in an environment.
    pub(super) fn is_for(&self, environment: &EnvironmentName) -> bool {
        self.environments.as_ref().is_none_or(|names| names.contains_key(environment))
    }
}

/// Environments that flags name and that are not known.
pub(super) fn unknown<'a>(
    flags: &'a BTreeMap<String, Flag>,
    known: &BTreeSet<&EnvironmentName>,
) -> Vec<(String, &'a EnvironmentName, Place)> {
    let named = flags.iter().flat_map(|(flag, one)| {
        let names = one.environments.iter().flatten();
        names.map(move |(name, place)| (format!("flags.{flag}.environments"), name, *place))
    });
    named.filter(|(_, name, _)| !known.contains(name)).collect()
}
