//! Which keys of a configuration change.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    digest,
    name::SecretName,
    redact::Redactor,
    release::{Origin, Release, ReleaseService},
    verification::Verification,
};

/// A key of a configuration that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyChange {
    /// Its path, such as `environment.LOG_LEVEL`; `secret TOKEN` and `file /etc/app.conf` for
    /// secrets and mounted files.
    pub key: String,
    /// What happens to it.
    pub edit: Edit,
    /// What it was. Nothing where it was not there, or is not to be shown: secrets, the content of
    /// files, and whatever is put together with a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What it will be; nothing as for `old`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Edit {
    /// It was not there.
    Added,
    /// It has another value.
    Changed,
    /// It is not there any more.
    Removed,
}

/// What two services are compared under: which secrets there are, and their values.
pub(crate) struct Secrecy<'a> {
    names: BTreeSet<&'a SecretName>,
    redactor: &'a Redactor,
}

impl<'a> Secrecy<'a> {
    pub(crate) fn new(releases: &[&'a Release], redactor: &'a Redactor) -> Self {
        let names = releases.iter().flat_map(|release| release.secret_names()).collect();
        Self { names, redactor }
    }

    /// Whether a value is not to be shown: its key is that of a secret, or it is put together with
    /// one. Backends write a placeholder with the secret's name; what stood there before the secret
    /// was declared may be its value.
    fn hides(&self, key: &str, values: [Option<&Value>; 2]) -> bool {
        let texts: Vec<String> = values.into_iter().flatten().map(Value::to_string).collect();
        self.names.iter().any(|name| {
            let name = name.as_str();
            key.contains(name) || texts.iter().any(|text| text.contains(name))
        })
    }

    fn change(&self, key: String, old: Option<&Value>, new: Option<&Value>) -> KeyChange {
        let edit = Edit::of(old.is_some(), new.is_some());
        if self.hides(&key, [old, new]) {
            return KeyChange { key, edit, old: None, new: None };
        }
        let clean = |value: &Value| {
            let mut value = value.clone();
            self.redactor.walk(&mut value);
            value
        };
        KeyChange { key: self.redactor.text(&key), edit, old: old.map(clean), new: new.map(clean) }
    }
}

impl Edit {
    /// Its name in texts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    fn of(was: bool, is: bool) -> Self {
        match (was, is) {
            (false, _) => Self::Added,
            (true, true) => Self::Changed,
            (true, false) => Self::Removed,
        }
    }
}

/// The keys of a service that change, but for its image. Nothing for one that somebody else
/// started: of its configuration only a part is known.
pub(crate) fn of_service(
    old: (Origin, &ReleaseService),
    new: &ReleaseService,
    secrecy: &Secrecy<'_>,
) -> Vec<KeyChange> {
    let (origin, old) = old;
    if origin == Origin::Adopted {
        return Vec::new();
    }
    let mut changes = of_values(&old.config, &new.config, secrecy);
    changes.extend(names_only("file", &old.files, &new.files));
    changes.extend(names_only("secret", &old.secrets, &new.secrets));
    if old.depends_on != new.depends_on {
        let (old, new) = (digest::json(&old.depends_on), digest::json(&new.depends_on));
        changes.push(secrecy.change("depends_on".to_owned(), Some(&old), Some(&new)));
    }
    changes
}

/// The keys that differ between two values, objects entered, lists taken as a whole.
pub(crate) fn of_values(old: &Value, new: &Value, secrecy: &Secrecy<'_>) -> Vec<KeyChange> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), old, &mut before);
    flatten(String::new(), new, &mut after);
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .map(|key| (key, before.get(key).copied(), after.get(key).copied()))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| secrecy.change(key.clone(), old, new))
        .collect()
}

/// The checks and tests that change, by name, and the secrets that only checks use.
pub(crate) fn of_verification(old: &Release, new: &Release) -> Vec<KeyChange> {
    let checks = |of: &Verification| -> BTreeMap<String, String> {
        let checks = of.checks.iter().map(|one| (one.name.clone(), digest::json(one)));
        checks.map(|(name, value)| (name, digest::of_json(&value))).collect()
    };
    let tasks = |of: &Verification| -> BTreeMap<String, String> {
        let tasks = of.tasks.iter().map(|one| (one.name.clone(), digest::json(one)));
        tasks.map(|(name, value)| (name, digest::of_json(&value))).collect()
    };
    let (before, after) = (&old.verification, &new.verification);
    let mut changes = names_only("check", &checks(before), &checks(after));
    changes.extend(names_only("test", &tasks(before), &tasks(after)));
    changes.extend(names_only("secret", &old.check_secrets, &new.check_secrets));
    changes
}

fn names_only<K: Ord + std::fmt::Display, V: PartialEq>(
    what: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Vec<KeyChange> {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(key) != new.get(key))
        .map(|key| KeyChange {
            key: format!("{what} {key}"),
            edit: Edit::of(old.contains_key(key), new.contains_key(key)),
            old: None,
            new: None,
        })
        .collect()
}

fn flatten<'a>(path: String, value: &'a Value, into: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(below, value, into);
            }
        }
        Value::Null | Value::Object(_) if path.is_empty() => {}
        value => {
            into.insert(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        name::{ProjectName, ServiceName},
        secret::{FingerprintKey, Secret, Secrets},
        version::Version,
    };

    fn release(secrets: &[(&str, &str)], config: Value) -> Release {
        let key = FingerprintKey::new([7; 32]);
        let prints = secrets.iter().map(|(name, value)| {
            let name = SecretName::new(*name).unwrap();
            let print = key.fingerprint(&name, &Secret::new(*value));
            (name, print)
        });
        let service = ReleaseService::new(None, config).with_secrets(prints.collect());
        let services = BTreeMap::from([(ServiceName::new("web").unwrap(), service)]);
        let project = ProjectName::new("p").unwrap();
        Release::new(project, Version::parse("1.0.0").unwrap(), services).unwrap()
    }

    fn changes(old: &Release, new: &Release, redactor: &Redactor) -> Vec<KeyChange> {
        let secrecy = Secrecy::new(&[old, new], redactor);
        let web = |release: &Release| release.services.values().next().unwrap().clone();
        of_service((old.origin, &web(old)), &web(new), &secrecy)
    }

    #[test]
    fn plain_values_are_shown_by_their_keys() {
        let old = release(&[], json!({"env": {"A": "1", "GONE": "x", "SAME": 1}, "ports": [1]}));
        let new = release(&[], json!({"env": {"A": "2", "NEW": null, "SAME": 1}, "ports": [1, 2]}));
        let seen: Vec<_> = changes(&old, &new, &Redactor::default())
            .into_iter()
            .map(|change| (change.key, change.edit, change.old, change.new))
            .collect();
        assert_eq!(
            seen,
            [
                ("env.A".into(), Edit::Changed, Some(json!("1")), Some(json!("2"))),
                ("env.GONE".into(), Edit::Removed, Some(json!("x")), None),
                ("env.NEW".into(), Edit::Added, None, Some(Value::Null)),
                ("ports".into(), Edit::Changed, Some(json!([1])), Some(json!([1, 2]))),
            ]
        );
        assert_eq!(changes(&old, &old.clone().adopted().unwrap(), &Redactor::default()), []);
    }

    #[test]
    fn no_value_of_a_secret_is_shown() {
        let secrets: Secrets =
            [(SecretName::new("PASSWORD").unwrap(), Secret::new("hunter2-hunter2"))].into();
        let redactor = Redactor::new(&secrets);
        // Before it was declared, its value was a plain one, and an older one too.
        let old =
            json!({"env": {"PASSWORD": "old-1", "URL": "db://u:old-1@h", "X": "hunter2-hunter2"}});
        let new = json!({"env": {"PASSWORD": "{PASSWORD}", "URL": "db://u:{PASSWORD}@h", "X": ""}});
        let (old, new) = (release(&[], old), release(&[("PASSWORD", "b")], new));
        let text = serde_json::to_string(&changes(&old, &new, &redactor)).unwrap();
        assert!(!text.contains("old-1") && !text.contains("hunter2"), "{text}");
        let keys: Vec<_> = changes(&old, &new, &redactor).into_iter().map(|one| one.key).collect();
        assert_eq!(keys, ["env.PASSWORD", "env.URL", "env.X", "secret PASSWORD"]);

        let other =
            release(&[("PASSWORD", "c")], new.services.values().next().unwrap().config.clone());
        let [change] = changes(&new, &other, &redactor).try_into().unwrap();
        assert_eq!((change.key.as_str(), change.edit), ("secret PASSWORD", Edit::Changed));
        assert_eq!((change.old, change.new), (None, None));
    }

    #[test]
    fn a_secret_that_only_checks_use_is_told_by_its_name() {
        let with = |print: &str| {
            let mut release = release(&[], json!({}));
            let key = FingerprintKey::new([1; 32]);
            let name = SecretName::new("KEY").unwrap();
            let print = key.fingerprint(&name, &Secret::new(print));
            release.check_secrets.insert(name, print);
            release
        };
        assert_eq!(of_verification(&with("a"), &with("a")), []);
        let [change] = of_verification(&with("a"), &with("b")).try_into().unwrap();
        assert_eq!((change.key.as_str(), change.edit), ("secret KEY", Edit::Changed));
        assert_eq!((change.old, change.new), (None, None));
    }
}
