//! The data of a run: what it was before, and whether other data has taken its place.

use jiff::Timestamp;

use super::{Phase, Stage, State};
use crate::{
    backup::{DataBackup, Occasion, Selection},
    deployer::Step,
    error::Failure,
    journal::Kind,
    name::{BackupId, ReleaseId},
};

/// What is known of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Data {
    /// What a rollback would put back.
    before: Option<DataBackup>,
    /// Whether this run, or one whose place it took, has begun to put other data in its place.
    is_replaced: bool,
    /// Where what was asked for came from, once it is in its place.
    given: Option<BackupId>,
    /// What goes back with the release, as was decided.
    back: Option<Selection>,
    /// How far that is.
    is_back: Progress,
    /// Whether parts are being put back right now.
    is_open: bool,
    /// Whether what was there was kept right before other data took its place.
    is_present_kept: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Ahead,
    Begun,
    Done,
}

impl Data {
    /// What held runs changed counts as changed by the one that takes their place.
    pub(super) fn inherit(&mut self, before: Option<DataBackup>, is_replaced: bool) {
        self.before = before;
        self.is_replaced = is_replaced;
    }

    /// Takes in what goes back with the release: only what was kept before the run.
    pub(super) fn decide(&mut self, back: Option<&Selection>) -> bool {
        self.back = back.cloned();
        // What is kept before that is another matter than what was kept before the run.
        self.is_present_kept = false;
        let of_before = |what: &Selection| {
            self.before.as_ref().is_some_and(|before| before.backup == what.backup)
        };
        back.is_none_or(of_before)
    }

    /// Another driver goes on, who knows when: what is there by then is not what was kept.
    pub(super) fn pass_on(&mut self) {
        self.is_present_kept = false;
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Ends an attempt that failed; false when none is under way.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.is_open)
    }
}

impl State {
    pub(super) fn backed_up(
        &mut self,
        backup: &BackupId,
        occasion: Occasion,
        data: &[String],
        at: Option<Timestamp>,
    ) -> bool {
        let before = (!data.is_empty()).then(|| DataBackup {
            backup: backup.clone(),
            parts: data.to_vec(),
            at,
        });
        match occasion {
            Occasion::Begin => {
                self.backup = Some(backup.clone());
                self.data.before = before;
                self.phase == Phase::Running(Stage::Backup)
            }
            Occasion::Refresh => {
                self.data.before = before;
                self.phase == Phase::Running(Stage::Deploy) && !self.touched()
            }
            Occasion::Restore => {
                self.data.is_present_kept = true;
                let is_forward = self.phase == Phase::Running(Stage::Deploy);
                if is_forward && self.data.before.is_none() {
                    self.data.before = before;
                }
                let may_be = is_forward && self.is_data_wanted() && !self.data.is_replaced;
                may_be || matches!(self.phase, Phase::Restoring { .. })
            }
        }
    }

    /// Begins to put data back, or begins again: doing it twice is the same as doing it once.
    pub(super) fn begin_restore(&mut self, what: &Selection) -> bool {
        self.data.is_open = true;
        match self.phase {
            Phase::Running(Stage::Deploy) => {
                self.data.is_replaced = true;
                let is_time = self.is_unchanged() || self.is_done(Step::Switch);
                is_time && self.is_data_wanted() && self.requested_data() == Some(what)
            }
            Phase::Restoring { .. } => {
                self.data.is_back = Progress::Begun;
                self.data.back.as_ref() == Some(what)
            }
            _ => false,
        }
    }

    pub(super) fn end_restore(&mut self, backup: &BackupId) -> bool {
        let legal = self.data.close();
        match self.phase.clone() {
            Phase::Running(Stage::Deploy) => {
                self.data.given = Some(backup.clone());
                legal && self.requested_data().is_some_and(|what| what.backup == *backup)
            }
            Phase::Restoring { cause, to } => {
                self.data.is_back = Progress::Done;
                self.phase = Phase::Proving { cause, to };
                legal && self.data.back.as_ref().is_some_and(|what| what.backup == *backup)
            }
            _ => false,
        }
    }

    /// What comes once the release before is back.
    pub(super) fn go_on_back(&mut self, cause: Failure, to: Option<ReleaseId>) {
        // Where it was put back before, people may have worked with it since.
        let is_ahead = self.data.back.is_some() && self.data.is_back != Progress::Done;
        self.phase =
            if is_ahead { Phase::Restoring { cause, to } } else { Phase::Proving { cause, to } };
    }

    /// The data that somebody asked for with the release.
    pub fn requested_data(&self) -> Option<&Selection> {
        match &self.facts()?.kind {
            Kind::Rollback { data, .. } => data.as_ref(),
            _ => None,
        }
    }

    /// Whether data was asked for and is not in its place yet.
    pub fn is_data_wanted(&self) -> bool {
        self.requested_data().is_some() && self.data.given.is_none()
    }

    /// The data as it was before the run, or before the first of those whose place it took.
    pub fn data_before(&self) -> Option<&DataBackup> {
        self.data.before.as_ref()
    }

    /// Whether this run, or one whose place it took, has begun to put data back on request: what it
    /// overwrote has to come back when it fails.
    pub fn is_data_replaced(&self) -> bool {
        self.data.is_replaced
    }

    /// The data that goes back with the release, as was decided.
    pub fn data_to_return(&self) -> Option<&Selection> {
        self.data.back.as_ref()
    }

    /// Whether a part of the data may be of another time than the rest: putting it back has begun and
    /// has not come to its end.
    pub fn is_data_half_restored(&self) -> bool {
        match self.data.is_back {
            Progress::Ahead => self.data.is_replaced && self.is_data_wanted(),
            Progress::Begun => true,
            Progress::Done => false,
        }
    }

    /// Whether what is there is to be kept before other data takes its place. What is half restored is
    /// worth nothing; and on request, what was kept before the run will do as long as nothing else was
    /// changed since.
    pub(crate) fn must_keep_present(&self) -> bool {
        if self.data.is_present_kept || self.is_data_half_restored() {
            return false;
        }
        let is_as_kept = self.data.before.is_some() && self.steps.is_empty();
        matches!(self.phase, Phase::Restoring { .. }) || !is_as_kept
    }

    /// Whether a restore was begun and nobody has seen its end.
    pub fn is_restore_open(&self) -> bool {
        self.data.is_open
    }
}
