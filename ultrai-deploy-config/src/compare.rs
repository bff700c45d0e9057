//! Two environments side by side.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::configuration::{Configuration, Setting};

/// A variable that differs between two environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// How it is in the first one; nothing when it is not set there.
    pub first: Option<Side>,
    /// How it is in the second one; nothing when it is not set there.
    pub second: Option<Side>,
}

/// A variable in one of two environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its value, `***` for a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// The variables whose values differ, by name. Of secrets only that they differ is told.
pub fn diff(first: &Configuration, second: &Configuration) -> Vec<Difference> {
    let names: BTreeSet<&String> = first.settings.keys().chain(second.settings.keys()).collect();
    let differs = |name: &&String| match (first.get(name), second.get(name)) {
        (Some(a), Some(b)) => a.expose() != b.expose(),
        _ => true,
    };
    let difference = |name: &String| Difference {
        name: name.clone(),
        first: first.settings.get(name).map(side),
        second: second.settings.get(name).map(side),
    };
    names.into_iter().filter(differs).map(difference).collect()
}

fn side(setting: &Setting) -> Side {
    Side { value: setting.value.shown().to_owned(), origin: setting.origin.to_string() }
}

/// What should not be between an environment and the one that releases are proven in before it:
/// a variable that only one of them has, and a secret that both share.
pub fn parity(proving: &Configuration, real: &Configuration) -> Vec<String> {
    let (a, b) = (&proving.environment, &real.environment);
    let names: BTreeSet<&String> = proving.settings.keys().chain(real.settings.keys()).collect();
    let mut warnings = Vec::new();
    for name in names {
        match (proving.settings.get(name), real.settings.get(name)) {
            (Some(setting), None) => warnings.push(format!(
                "{name} is set in {a} ({}) and not in {b}: what is proven there is not what runs",
                setting.origin
            )),
            (None, Some(setting)) => warnings.push(format!(
                "{name} is set in {b} ({}) and not in {a}: it is never proven",
                setting.origin
            )),
            (Some(one), Some(other))
                if one.value.is_secret()
                    && !one.value.expose().is_empty()
                    && one.value.expose() == other.value.expose()
                    // One process gives both the same.
                    && !(one.origin.is_of_call() && other.origin.is_of_call()) =>
            {
                warnings.push(format!(
                    "the secret {name} is the same in {a} and {b}: who has the one has the other"
                ));
            }
            _ => {}
        }
    }
    warnings
}
