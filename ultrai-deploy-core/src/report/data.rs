//! What became of the data: what was kept, what came back, and what did not.

use std::fmt;

use serde::Serialize;

use super::Report;
use crate::{
    backup::{DataBackup, Occasion, Selection},
    deployer::Step,
    ending::Ending,
    journal::{Event, Kind},
    name::{BackupId, Target},
};

/// The data of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DataReport {
    /// As it was before the run; nothing where none was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<DataBackup>,
    /// The backups of what other data took the place of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<BackupId>,
    /// What was put back last, the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredData>,
    /// What has begun to be put back and has not come to its end: the data is of different times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_restored: Option<Selection>,
    /// What goes back with the release, where the run goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub going_back: Option<Selection>,
    /// Whether the new release, or a migration of it, may have changed data.
    pub may_have_changed: bool,
}

/// Data that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoredData {
    /// The backup that it came from.
    pub backup: BackupId,
    /// Its parts.
    pub parts: Vec<String>,
    /// How many bytes they have together.
    pub bytes: u64,
    /// Whether it went back with its release, rather than on request.
    pub went_back: bool,
}

impl DataReport {
    /// Takes in what an event says of data.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::BackedUp { backup, occasion, data, at, .. } => {
                let kept = (!data.is_empty()).then(|| DataBackup {
                    backup: backup.clone(),
                    parts: data.clone(),
                    at: *at,
                });
                match occasion {
                    Occasion::Begin | Occasion::Refresh => self.before = kept,
                    Occasion::Restore => {
                        self.replaced.extend(kept.map(|kept| kept.backup));
                    }
                }
            }
            Event::Inherited { data, .. } => {
                self.before.clone_from(data);
                self.may_have_changed = true;
            }
            Event::Intent { step: Step::Switch, .. } | Event::MigrationStarted { .. } => {
                self.may_have_changed = true;
            }
            Event::RollbackDecided { data, .. } => self.going_back.clone_from(data),
            Event::DataRestoreStarted { what } => self.half_restored = Some(what.clone()),
            Event::DataRestored { backup, parts, bytes } => {
                self.half_restored = None;
                self.restored = Some(RestoredData {
                    backup: backup.clone(),
                    parts: parts.clone(),
                    bytes: *bytes,
                    went_back: self.going_back.is_some(),
                });
            }
            _ => {}
        }
    }

    /// Where it is that other data took the place of.
    fn written_since(&self) -> Option<&BackupId> {
        self.replaced.last()
    }
}

impl Report {
    /// What was and what was not put back, in plain words.
    pub(super) fn left_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = &self.data;
        if let Some(half) = &data.half_restored {
            return self.half_restored(half, f);
        }
        match (&self.ending, &data.restored) {
            (Some(Ending::Succeeded { .. }), Some(given)) => {
                let RestoredData { backup, parts, .. } = given;
                writeln!(f, "Data was restored from backup {backup}: {}.", parts.join(", "))?;
                let since = data.written_since();
                let since = since.or(data.before.as_ref().map(|before| &before.backup));
                match since {
                    Some(since) => writeln!(f, "What it took the place of is in backup {since}."),
                    None => writeln!(f, "There was none before that it took the place of."),
                }
            }
            (Some(Ending::RolledBack { .. } | Ending::Stuck { .. }), Some(back))
                if back.went_back =>
            {
                let RestoredData { backup, parts, .. } = back;
                let parts = parts.join(", ");
                writeln!(f, "Data was rolled back, too, to backup {backup}: {parts}.")?;
                match data.written_since() {
                    Some(since) => writeln!(f, "What was written since is in backup {since}."),
                    None => Ok(()),
                }
            }
            (Some(Ending::RolledBack { to: Some(_), .. } | Ending::Stuck { .. }), _) => {
                self.kept_data(f)
            }
            (Some(Ending::Succeeded { .. }), None)
                if matches!(self.kind, Some(Kind::Rollback { .. })) && data.may_have_changed =>
            {
                writeln!(
                    f,
                    "Data was NOT rolled back, nor what migrations made of it: what was written \
                     before the rollback is there."
                )
            }
            _ => Ok(()),
        }
    }

    fn half_restored(&self, half: &Selection, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = match &self.ending {
            Some(Ending::Stuck { .. }) => "`ultrai resume --retry` does it again".to_owned(),
            Some(_) => format!("`{}` does it again", self.restore(&half.backup, Some(&half.from))),
            None => "`ultrai resume` does it again".to_owned(),
        };
        let parts =
            if half.parts.is_empty() { "all data".to_owned() } else { half.parts.join(", ") };
        writeln!(
            f,
            "Data is HALF RESTORED: putting back {parts} of backup {} has begun and did not come to \
             its end; {again}.",
            half.backup
        )?;
        match self.data.written_since() {
            Some(since) => writeln!(f, "What it takes the place of is in backup {since}."),
            None => Ok(()),
        }
    }

    /// The command that puts data of a backup into its place here.
    fn restore(&self, backup: &BackupId, from: Option<&Target>) -> String {
        let mut command = format!("ultrai backup restore {backup}");
        let Some(here) = &self.target else { return command };
        let mut add = |option: &str, value: &str| {
            command.push_str(option);
            command.push_str(value);
        };
        add(" -e ", here.environment.as_str());
        if let Some(from) = from.filter(|from| from.environment != here.environment) {
            add(" --from ", from.environment.as_str());
        }
        if let Some(from) = from.filter(|from| from.project != here.project) {
            add(" --from-project ", from.project.as_str());
        }
        command
    }

    /// The data is as the release that failed left it.
    fn kept_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = &self.data;
        if let Some(RestoredData { backup, .. }) = &data.restored {
            writeln!(f, "Data of backup {backup} stays: there was none before it.")
        } else if !data.may_have_changed {
            writeln!(f, "Data was not touched.")
        } else if let Some(DataBackup { backup, parts, .. }) = &data.before {
            let parts = parts.join(", ");
            writeln!(
                f,
                "Data was NOT rolled back: what was written since the run began is there."
            )?;
            writeln!(f, "Backup {backup} has it as it was before ({parts}):")?;
            writeln!(f, "`{}` brings that back.", self.restore(backup, None))
        } else {
            writeln!(f, "Data was NOT rolled back, and the run has no backup of it.")
        }
    }
}
