//! Changes of an environment: what is staged and not committed, and what was committed.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::open::{open_enum, or_default};

open_enum! {
    /// What became of changes.
    PatchStatus {
        /// They wait to be committed.
        Staged = "STAGED",
        /// They are being made.
        Applying = "APPLYING",
        /// They were made.
        Committed = "COMMITTED",
    }
}

/// Changes of an environment, by whoever made them. `Debug` shows where, and no values: variables
/// are among them.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StagedChanges {
    /// Its id; `<empty>` where nothing is staged.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// What became of it.
    pub status: PatchStatus,
    /// What whoever committed it said.
    pub message: Option<String>,
    /// Why it could not be applied the last time.
    pub last_applied_error: Option<String>,
    /// The changes: `services.<id>.variables.<name>.value` and so on, in a form that Railway leaves
    /// open.
    #[serde(default)]
    pub patch: Value,
}

impl StagedChanges {
    /// Whether there is nothing that a commit would change.
    pub fn is_nothing(&self) -> bool {
        self.status == PatchStatus::Committed || self.paths().is_empty()
    }

    /// What is changed, each by its path; never to what.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let Value::Object(sections) = &self.patch else { return paths };
        // A section that is null holds nothing; anything deeper that is null is removed.
        for (name, section) in sections.iter().filter(|(_, section)| !section.is_null()) {
            walk(section, name.clone(), &mut paths);
        }
        paths
    }
}

impl fmt::Debug for StagedChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedChanges")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("paths", &self.paths())
            .finish_non_exhaustive()
    }
}

fn walk(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk(value, format!("{path}.{name}"), paths);
            }
        }
        _ => paths.push(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn staged(status: &str, patch: &Value) -> StagedChanges {
        serde_json::from_value(json!({ "id": "p", "status": status, "patch": patch })).unwrap()
    }

    #[test]
    fn what_is_changed_is_told_without_values() {
        let patch = json!({
            "services": { "s1": { "variables": { "KEY": { "value": "hunter2" }, "OLD": null } } },
            "volumes": {}, "groups": null,
        });
        let staged = staged("STAGED", &patch);
        assert_eq!(
            staged.paths(),
            ["services.s1.variables.KEY.value", "services.s1.variables.OLD"]
        );
        assert!(!staged.is_nothing());
        assert!(!format!("{staged:?}").contains("hunter2"), "{staged:?}");
    }

    #[test]
    fn nothing_has_many_forms() {
        for patch in [json!({}), json!(null), json!({ "services": {} }), json!({ "a": null })] {
            assert!(staged("STAGED", &patch).is_nothing(), "{patch}");
        }
        let patch = json!({ "services": { "s1": { "isDeleted": true } } });
        assert!(staged("COMMITTED", &patch).is_nothing());
        assert!(!staged("APPLYING", &patch).is_nothing());
        assert!(!staged("MELTED", &patch).is_nothing());
    }
}
