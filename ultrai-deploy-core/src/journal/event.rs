//! What a record says. The same vocabulary is the progress stream, the report and the history.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    backup::{DataBackup, Occasion, Selection},
    consequence::{Reaction, Severity},
    deployer::{Inherited, Observation, Step, StepRecord},
    ending::Ending,
    error::Failure,
    evidence::Evidence,
    health::{Role, Verdict},
    lease::{Fence, Holder},
    migration::Status,
    name::{BackupId, EnvironmentName, ReleaseId, RunId, ServiceName, Target},
    plan::Plan,
    preflight::Found,
    readiness::Readiness,
    release::Image,
    stage::Stage,
    version::Version,
};

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run began. Always the first record.
    Created {
        /// Version of the records' form.
        format: u16,
        /// Version of the engine.
        engine: String,
        /// The environment.
        target: Target,
        /// Deploy or rollback.
        kind: Kind,
        /// The version that shall run.
        version: Option<Version>,
        /// Stages that were left out on request.
        skips: Vec<Skip>,
        /// The digest of the saved plan that it applies, if it was given one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// Who started it.
        initiator: Initiator,
    },
    /// The lease was taken: from here on the environment belongs to this run.
    Locked {
        /// The fence.
        fence: Fence,
        /// The holder.
        holder: Holder,
    },
    /// Another driver took the run over.
    Adopted {
        /// Its fence.
        fence: Fence,
        /// The holder.
        holder: Holder,
    },
    /// A stage began.
    StageStarted {
        /// Which.
        stage: Stage,
    },
    /// A stage was left out.
    StageSkipped {
        /// Which.
        stage: Stage,
        /// Why.
        why: String,
    },
    /// A stage did its work.
    StageFinished {
        /// Which.
        stage: Stage,
    },
    /// A stage failed.
    StageFailed {
        /// Which.
        stage: Stage,
        /// Why.
        failure: Failure,
        /// What the checks that failed ask for, where that is not what the policy says of the stage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reaction: Option<Reaction>,
    },
    /// A stage failed, and the run goes on as its policy says.
    FailureIgnored {
        /// Which.
        stage: Stage,
        /// Why.
        failure: Failure,
    },
    /// What served was read under the lock.
    Observed {
        /// The release that a rollback returns to, if any.
        serving: Option<ReleaseId>,
        /// Its version.
        version: Option<Version>,
        /// Whether a run has proven it.
        proven: bool,
        /// The last run that brought it and took it back because it failed, unless it was proven
        /// since: then it is what there is to return to, and no good place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<RunId>,
        /// The held run whose place this one takes when it changes something. Then a rollback
        /// returns to what that one would return to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        supersedes: Option<RunId>,
    },
    /// Whether it could be taken back was found out.
    Assessed {
        /// What was found.
        readiness: Readiness,
    },
    /// The run answers for what a held one did: it takes its place.
    Inherited {
        /// The held run.
        from: RunId,
        /// What it did, and what it had inherited itself; oldest first.
        steps: Vec<Inherited>,
        /// The data as it was before the first of them, if it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<DataBackup>,
        /// Whether one of them put other data in its place on request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        data_replaced: bool,
    },
    /// A backup is complete and verified.
    BackedUp {
        /// Which.
        backup: BackupId,
        /// How many parts it has.
        parts: usize,
        /// How many bytes they have together.
        bytes: u64,
        /// When in the run it was taken.
        #[serde(default, skip_serializing_if = "is_begin")]
        occasion: Occasion,
        /// The parts that are data: `redis/dump`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        data: Vec<String>,
        /// When reading began, by the wall clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Data is about to be put back. From here on, until it is restored, it is neither whole.
    DataRestoreStarted {
        /// From where.
        what: Selection,
    },
    /// Data is back, all that was to be.
    DataRestored {
        /// The backup that it came from.
        backup: BackupId,
        /// What was put back: `redis/dump`.
        parts: Vec<String>,
        /// How many bytes they have together.
        bytes: u64,
    },
    /// An attempt to put data back failed, and may have left a part of it.
    DataRestoreFailed {
        /// Why.
        failure: Failure,
    },
    /// An image is known exactly.
    ImageResolved {
        /// Whose.
        service: ServiceName,
        /// Which.
        image: Image,
        /// Whether it was built just now.
        built: bool,
    },
    /// The release is sealed and stored.
    Sealed {
        /// Which.
        release: ReleaseId,
    },
    /// The binding plan.
    Planned {
        /// What will change.
        plan: Plan,
    },
    /// A migration is about to run.
    MigrationStarted {
        /// Which.
        migration: String,
        /// Whether it is declared reversible.
        reversible: bool,
    },
    /// A migration ended.
    MigrationEnded {
        /// Which.
        migration: String,
        /// Its exit code; at 0 it took effect.
        exit_code: i64,
        /// The end of its output.
        tail: String,
    },
    /// What became of a migration whose end was not seen was found out.
    MigrationFound {
        /// Which.
        migration: String,
        /// What is known of it: applied, pending when it never began, or unknown.
        status: Status,
    },
    /// A test command ended.
    TaskEnded {
        /// Which.
        task: String,
        /// Its exit code.
        exit_code: i64,
        /// The end of its output.
        tail: String,
    },
    /// A check has a verdict.
    Checked {
        /// Which.
        check: String,
        /// What it looked at.
        role: Role,
        /// The verdict.
        verdict: Verdict,
        /// How often it looked.
        looks: u32,
        /// How long it took, in milliseconds.
        millis: u64,
        /// How bad it is when it does not pass.
        #[serde(default, skip_serializing_if = "is_critical")]
        severity: Severity,
        /// Why it is not a pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// What was last seen.
        evidence: Vec<Evidence>,
    },
    /// An item of the checklist was looked at, before anything was touched.
    Prepared {
        /// Which.
        check: String,
        /// How bad it is when it is not as it should be.
        severity: Severity,
        /// What was found.
        found: Found,
    },
    /// A step is about to change the target.
    Intent {
        /// Which.
        step: Step,
        /// Which attempt, from 1.
        attempt: u32,
        /// What was seen before, and all that undo needs.
        record: Arc<StepRecord>,
    },
    /// A single effect of a step is about to happen.
    Effect {
        /// Its number in the run.
        effect: u64,
        /// The step's name.
        step: String,
        /// The step's attempt.
        attempt: u32,
        /// What is done.
        action: String,
        /// To what.
        object: String,
        /// What a person or a recovery needs to know.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        detail: Value,
    },
    /// A single effect is done.
    EffectDone {
        /// Its number.
        effect: u64,
        /// What came back.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
    },
    /// A single effect failed.
    EffectFailed {
        /// Its number.
        effect: u64,
        /// Why.
        failure: Failure,
    },
    /// A step is done.
    StepDone {
        /// Which.
        step: Step,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: Step,
        /// Why.
        failure: Failure,
    },
    /// What became of a step was found out.
    Reconciled {
        /// Which.
        step: Step,
        /// What was found.
        observation: Observation,
    },
    /// Somebody asked to stop.
    CancelRequested {
        /// Why or how.
        why: String,
    },
    /// The run goes back.
    RollbackDecided {
        /// Why.
        cause: Failure,
        /// To which release; nothing after a failed first deploy.
        to: Option<ReleaseId>,
        /// The data that goes back with it; nothing when data stays as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Selection>,
    },
    /// The rollback is tried again on request.
    RollbackRetried {
        /// By whom.
        initiator: Initiator,
    },
    /// The run waits for a person or a newer deploy, until the deadline.
    Held {
        /// When the wait is over, by the wall clock.
        until: Timestamp,
        /// Why.
        cause: Failure,
    },
    /// The wait is over and the run goes on.
    HoldReleased {
        /// Whether it goes forward or back.
        proceed: bool,
        /// Who accepted the release; nothing when it goes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initiator: Option<Initiator>,
    },
    /// Something that people should know and that changes no outcome.
    Note {
        /// What.
        message: String,
    },
    /// The run is over. Always the last record, unless a stuck run is abandoned or retried.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// What a run is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Brings a new release.
    Deploy,
    /// Brings what is proven in another environment.
    Promotion {
        /// Which environment.
        from: EnvironmentName,
        /// The release there.
        release: ReleaseId,
        /// The run that has proven it there.
        run: RunId,
    },
    /// Brings back a stored one.
    Rollback {
        /// Which; with `data` it may be the one that serves.
        to: ReleaseId,
        /// The data that comes back with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Selection>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_begin(occasion: &Occasion) -> bool {
    *occasion == Occasion::Begin
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_critical(severity: &Severity) -> bool {
    *severity == Severity::Critical
}

/// A stage that was left out on request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Which.
    pub stage: Stage,
    /// Why: the flag that asked for it.
    pub why: String,
}

/// Who started a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initiator {
    /// The user.
    pub user: String,
    /// The host.
    pub host: String,
    /// The process.
    pub process: u32,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
