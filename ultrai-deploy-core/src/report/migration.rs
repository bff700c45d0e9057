//! What became of migrations, and what a rollback leaves of them.

use std::fmt;

use serde::Serialize;

use super::Report;
use crate::migration::Status;

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Which.
    pub migration: String,
    /// What became of it; unknown as long as its end was not seen.
    pub status: Status,
    /// Whether it is declared reversible.
    pub reversible: bool,
    /// Its exit code, where its end was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The end of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

impl MigrationReport {
    /// What a rollback left of it, in plain words; nothing of one that never began.
    fn after_rollback(&self, is_data_back: bool) -> Option<String> {
        let Self { migration, reversible, .. } = self;
        if is_data_back && self.status != Status::Pending {
            return Some(format!(
                "Migration `{migration}` of this release began before the data was put back: whether \
                 what it changed is undone with that, nobody knows. Look, and say so with \
                 `ultrai migrations --mark '{migration}=pending'` or `=applied`."
            ));
        }
        let by_hand = if *reversible {
            "it is declared reversible, and nothing reverses it by itself"
        } else {
            "it is declared not reversible"
        };
        match self.status {
            Status::Applied => Some(format!(
                "Migration `{migration}` of this release stays applied: what it changed in the data \
                 was not rolled back; {by_hand}."
            )),
            Status::Failed => Some(format!(
                "Migration `{migration}` of this release failed: what it changed in the data before \
                 that stays."
            )),
            Status::Unknown => Some(format!(
                "Nobody knows whether migration `{migration}` of this release took effect; what it \
                 changed in the data was not rolled back; {by_hand}. Look, and say so with \
                 `ultrai migrations --mark '{migration}=applied'` or `=pending`."
            )),
            Status::Pending => None,
        }
    }
}

impl Report {
    pub(super) fn left_migrations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_data_back = self.data.restored.as_ref().is_some_and(|data| data.went_back);
        let words = self.migrations.iter().filter_map(|one| one.after_rollback(is_data_back));
        for words in words {
            writeln!(f, "{words}")?;
        }
        Ok(())
    }
}
