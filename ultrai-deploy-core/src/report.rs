//! What a run did, made from its records alone.

mod data;
mod migration;

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

pub use self::{
    data::{DataReport, RestoredData},
    migration::MigrationReport,
};

use crate::{
    backup::Occasion,
    consequence::Severity,
    ending::Ending,
    error::Failure,
    evidence::Evidence,
    health::{Role, Verdict},
    journal::{Event, Initiator, Kind, Record},
    migration::Status,
    name::{BackupId, ReleaseId, RunId, Target},
    pipeline::Prepared,
    plan::Plan,
    readiness::Readiness,
    release::Image,
    stage::Stage,
    version::Version,
};

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The environment.
    pub target: Option<Target>,
    /// Deploy or rollback.
    pub kind: Option<Kind>,
    /// The version that was to run.
    pub version: Option<Version>,
    /// The release that was to run.
    pub release: Option<ReleaseId>,
    /// The release that served before.
    pub previous: Option<ReleaseId>,
    /// Its version.
    pub previous_version: Option<Version>,
    /// Whether a run had proven it; unproven is what was found running and adopted.
    pub previous_proven: bool,
    /// Who started it.
    pub initiator: Option<Initiator>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it took, in milliseconds, from its first to its last record.
    pub millis: u64,
    /// The ending; nothing while it is unfinished or held.
    pub ending: Option<Ending>,
    /// Until when it waits for a person, while it is held.
    pub held_until: Option<Timestamp>,
    /// Why it was held, if it was.
    pub held_for: Option<Failure>,
    /// Whether somebody asked to stop it.
    pub cancelled: bool,
    /// The stages, in order.
    pub stages: Vec<StageReport>,
    /// The binding plan.
    pub plan: Option<Plan>,
    /// Whether it could be taken back, as far as it was looked at.
    pub readiness: Option<Readiness>,
    /// The items of the checklist, as they were found before anything was touched.
    pub checklist: Vec<Prepared>,
    /// The checks that were made.
    pub checks: Vec<CheckReport>,
    /// The tests that were run.
    pub tests: Vec<TestReport>,
    /// The migrations that were begun; what they did stays, whatever the ending.
    pub migrations: Vec<MigrationReport>,
    /// The images that were built; they stay, whatever the ending.
    pub built: Vec<Image>,
    /// The backup that was taken; it stays, too.
    pub backup: Option<BackupId>,
    /// What became of the data.
    pub data: DataReport,
    /// What people should know: what was left over, what was finished for another run.
    pub notes: Vec<String>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// Which.
    pub stage: Stage,
    /// What became of it.
    pub status: StageStatus,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageStatus {
    /// It did its work.
    Done,
    /// It was left out.
    Skipped,
    /// It failed.
    Failed,
    /// It failed, and the run went on as its policy says.
    Ignored,
    /// It has begun and not ended.
    Unfinished,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Which.
    pub check: String,
    /// The release that was to pass it: the new one, or after a rollback the one before.
    pub release: Option<ReleaseId>,
    /// What it looked at.
    pub role: Role,
    /// The verdict.
    pub verdict: Verdict,
    /// How often it looked.
    pub looks: u32,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// How bad it is when it does not pass.
    pub severity: Severity,
    /// Why it is not a pass.
    pub why: Option<String>,
    /// What was last seen.
    pub evidence: Vec<Evidence>,
}

impl CheckReport {
    /// A line about what did not pass and may be overlooked: minor checks, and the release before.
    fn warn(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.verdict == Verdict::Pass {
            return Ok(());
        }
        let why = self.why.as_deref().unwrap_or("it did not pass");
        if self.role == Role::Previous {
            return writeln!(f, "  before the run: check {}: {why}", self.check);
        }
        if self.severity == Severity::Minor {
            writeln!(f, "  warning: check {} (minor): {why}", self.check)?;
        }
        Ok(())
    }
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// Which.
    pub test: String,
    /// Its exit code.
    pub exit_code: i64,
    /// The end of its output.
    pub tail: String,
}

impl Report {
    /// The report of a run with these records.
    pub fn from_records(run: &RunId, records: &[Record]) -> Self {
        let mut growing = Growing::new(run);
        for record in records {
            growing.add(record);
        }
        growing.into_report()
    }

    /// What went wrong, if anything did.
    pub fn cause(&self) -> Option<&Failure> {
        match self.ending.as_ref()? {
            Ending::Refused { cause }
            | Ending::RolledBack { cause, .. }
            | Ending::Stuck { cause, .. } => Some(cause),
            _ => None,
        }
    }

    fn empty(run: &RunId) -> Self {
        Self {
            run: run.clone(),
            target: None,
            kind: None,
            version: None,
            release: None,
            previous: None,
            previous_version: None,
            previous_proven: false,
            initiator: None,
            started: None,
            millis: 0,
            ending: None,
            held_until: None,
            held_for: None,
            cancelled: false,
            stages: Vec::new(),
            plan: None,
            readiness: None,
            checklist: Vec::new(),
            checks: Vec::new(),
            tests: Vec::new(),
            migrations: Vec::new(),
            built: Vec::new(),
            backup: None,
            data: DataReport::default(),
            notes: Vec::new(),
        }
    }

    fn migration(&mut self, name: &str) -> Option<&mut MigrationReport> {
        self.migrations.iter_mut().find(|one| one.migration == name)
    }

    fn stage(&mut self, stage: Stage, status: StageStatus, millis: u64, why: Option<String>) {
        let report = StageReport { stage, status, millis, why };
        match self.stages.iter_mut().find(|known| known.stage == stage) {
            Some(known) => *known = report,
            None => self.stages.push(report),
        }
    }
}

/// A report that grows with its run, which then need not keep its records.
#[derive(Debug)]
pub(crate) struct Growing {
    report: Report,
    stage_began: Option<Timestamp>,
    /// The release that checks are about.
    checked: Option<ReleaseId>,
    /// The held run whose place it may take and has not taken yet.
    held: Option<RunId>,
}

impl Growing {
    pub(crate) fn new(run: &RunId) -> Self {
        Self { report: Report::empty(run), stage_began: None, checked: None, held: None }
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    pub(crate) fn add(&mut self, record: &Record) {
        let report = &mut self.report;
        let began = *report.started.get_or_insert(record.at);
        report.millis = millis(began, record.at);
        let stage_took = millis(self.stage_began.unwrap_or(record.at), record.at);
        report.data.add(&record.event);
        match &record.event {
            Event::Created { target, kind, version, initiator, .. } => {
                report.target = Some(target.clone());
                report.kind = Some(kind.clone());
                report.version.clone_from(version);
                report.initiator = Some(initiator.clone());
            }
            Event::StageStarted { stage } => {
                self.stage_began = Some(record.at);
                report.stage(*stage, StageStatus::Unfinished, 0, None);
            }
            Event::StageSkipped { stage, why } => {
                report.stage(*stage, StageStatus::Skipped, 0, Some(why.clone()));
            }
            Event::StageFinished { stage } => {
                report.stage(*stage, StageStatus::Done, stage_took, None);
            }
            Event::StageFailed { stage, .. } => {
                report.stage(*stage, StageStatus::Failed, stage_took, None);
            }
            Event::FailureIgnored { stage, failure } => {
                report.stage(*stage, StageStatus::Ignored, stage_took, None);
                let message = format!("warning: {stage} FAILED, which was ignored: {failure}");
                report.notes.push(message);
            }
            Event::Observed { serving, version, proven, supersedes, .. } => {
                self.held.clone_from(supersedes);
                report.previous.clone_from(serving);
                report.previous_version.clone_from(version);
                report.previous_proven = *proven;
            }
            Event::Assessed { readiness } => report.readiness = Some(readiness.clone()),
            Event::BackedUp { backup, occasion: Occasion::Begin, .. } => {
                report.backup = Some(backup.clone());
                if let Some(readiness) = &mut report.readiness {
                    readiness.backed_up(backup);
                }
            }
            Event::ImageResolved { image, built: true, .. } if !report.built.contains(image) => {
                report.built.push(image.clone());
            }
            Event::Sealed { release } => {
                report.release = Some(release.clone());
                self.checked = Some(release.clone());
            }
            Event::Planned { plan } => report.plan = Some(plan.clone()),
            Event::Checked { check, role, verdict, looks, millis, severity, why, evidence } => {
                report.checks.push(CheckReport {
                    check: check.clone(),
                    release: self.checked.clone(),
                    role: *role,
                    verdict: *verdict,
                    looks: *looks,
                    millis: *millis,
                    severity: *severity,
                    why: why.clone(),
                    evidence: evidence.clone(),
                });
            }
            Event::Prepared { check, severity, found } => report.checklist.push(Prepared {
                check: check.clone(),
                severity: *severity,
                found: found.clone(),
            }),
            Event::TaskEnded { task, exit_code, tail } => report.tests.push(TestReport {
                test: task.clone(),
                exit_code: *exit_code,
                tail: tail.clone(),
            }),
            Event::MigrationStarted { migration, reversible } => {
                // One that is run again is told once.
                report.migrations.retain(|one| one.migration != *migration);
                report.migrations.push(MigrationReport {
                    migration: migration.clone(),
                    status: Status::Unknown,
                    reversible: *reversible,
                    exit_code: None,
                    tail: String::new(),
                });
            }
            Event::MigrationEnded { migration, exit_code, tail } => {
                if let Some(one) = report.migration(migration) {
                    one.status = if *exit_code == 0 { Status::Applied } else { Status::Failed };
                    one.exit_code = Some(*exit_code);
                    one.tail.clone_from(tail);
                }
            }
            Event::MigrationFound { migration, status } => {
                if let Some(one) = report.migration(migration) {
                    one.status = *status;
                }
            }
            Event::CancelRequested { .. } => report.cancelled = true,
            Event::Held { until, cause } => {
                report.held_until = Some(*until);
                report.held_for = Some(cause.clone());
            }
            Event::HoldReleased { proceed, initiator } => {
                report.held_until = None;
                let by = initiator.as_ref().map_or("", |initiator| initiator.user.as_str());
                let cause = report.held_for.as_ref().filter(|_| *proceed);
                report.notes.extend(cause.map(|cause| {
                    format!("{by} accepted the held release although it failed: {cause}")
                }));
            }
            Event::Inherited { from, .. } => {
                self.held = None;
                report.notes.push(format!("took the place of run {from}, which was held"));
            }
            Event::RollbackDecided { to, .. } => self.checked.clone_from(to),
            Event::Note { message } => report.notes.push(message.clone()),
            Event::Ended { ending } => {
                report.held_until = None;
                let left = self.held.take();
                report.notes.extend(left.map(|held| format!("run {held} is still held")));
                report.ending = Some(ending.clone());
            }
            Event::RollbackRetried { .. } => report.ending = None,
            _ => {}
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_ref().map_or("an unknown version", Version::as_str);
        let what = match &self.kind {
            Some(Kind::Rollback { .. }) => "rollback to",
            Some(Kind::Promotion { .. }) => "promotion of",
            _ => "deploy of",
        };
        let from = match &self.kind {
            Some(Kind::Promotion { from, .. }) => format!(" from {from}"),
            Some(Kind::Rollback { data: Some(data), .. }) => {
                format!(" with data of backup {}", data.backup)
            }
            _ => String::new(),
        };
        let target = self.target.as_ref().map(ToString::to_string).unwrap_or_default();
        let ending = self.ending.as_ref().map_or("unfinished", Ending::as_str);
        let ending = if self.held_until.is_some() { "held" } else { ending };
        let took = Seconds(self.millis);
        write!(f, "{what} {version}{from} to {target}: {ending} ({took}, run {})", self.run)?;
        let held = self.held_for.as_ref().filter(|_| self.held_until.is_some());
        match held.or(self.cause()) {
            Some(cause) => writeln!(f, ": {}", cause.deepest())?,
            None => writeln!(f)?,
        }
        if let Some(Kind::Promotion { from, release, run }) = &self.kind {
            writeln!(f, "  release {release} of {from}, which run {run} has proven there")?;
        }
        for stage in &self.stages {
            let mark = match stage.status {
                StageStatus::Done => "ok",
                StageStatus::Skipped => "skipped",
                StageStatus::Failed => "FAILED",
                StageStatus::Ignored => "FAILED, ignored",
                StageStatus::Unfinished => "unfinished",
            };
            write!(f, "  {:<18}{mark}", stage.stage.as_str())?;
            match &stage.why {
                Some(why) => writeln!(f, ": {why}")?,
                None => writeln!(f, " ({})", Seconds(stage.millis))?,
            }
        }
        if let Some(readiness) = &self.readiness {
            for line in readiness.to_string().lines() {
                writeln!(f, "  {line}")?;
            }
        }
        if let Some(plan) = &self.plan {
            for item in &plan.not_undoable {
                writeln!(f, "  a rollback does not bring back: {item}")?;
            }
        }
        for MigrationReport { migration, status, .. } in &self.migrations {
            writeln!(f, "  migration {migration}: {status}")?;
        }
        for image in &self.built {
            writeln!(f, "  built {} ({})", image.reference, image.id)?;
        }
        if let Some(backup) = &self.backup {
            writeln!(f, "  backup {backup}")?;
        }
        let before = self.data.before.as_ref().map(|before| &before.backup);
        let of_data = before.filter(|backup| Some(*backup) != self.backup.as_ref());
        for backup in of_data.into_iter().chain(&self.data.replaced) {
            writeln!(f, "  backup {backup} (data only)")?;
        }
        for item in self.checklist.iter().filter(|item| !item.is_good()) {
            writeln!(f, "  {item}")?;
        }
        for check in &self.checks {
            check.warn(f)?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        self.outcome(f)
    }
}

impl Report {
    fn outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(until), Some(cause)) = (self.held_until, &self.held_for) {
            writeln!(f, "Held until {until:.0}; then it goes back. Decide before that:")?;
            writeln!(f, "`ultrai resume --proceed` accepts it, `ultrai rollback` goes back.")?;
            return explain(f, "Cause", cause);
        }
        match &self.ending {
            Some(Ending::Refused { cause }) => {
                writeln!(f, "The environment was not touched.")?;
                explain(f, "Cause", cause)
            }
            Some(Ending::RolledBack { to, cause }) => {
                match (to, &self.previous_version) {
                    (Some(_), Some(version)) if self.previous_proven => {
                        writeln!(f, "Version {version} serves again; its checks passed.")?;
                    }
                    (Some(_), Some(version)) => writeln!(
                        f,
                        "What ran before ({version}, which no run had proven) serves again; \
                         its checks passed."
                    )?,
                    (Some(release), None) => {
                        writeln!(f, "Release {release} serves again; its checks passed.")?;
                    }
                    (None, _) => writeln!(
                        f,
                        "It was the first deploy: nothing is left of it but what the notes name."
                    )?,
                }
                self.left_data(f)?;
                self.left_migrations(f)?;
                explain(f, "Cause", cause)
            }
            Some(Ending::Stuck { cause, undo }) => {
                self.left_data(f)?;
                self.left_migrations(f)?;
                explain(f, "Cause", cause)?;
                explain(f, "Going back failed", undo)?;
                writeln!(f, "Mend that and run `ultrai resume --retry`, or close the run with")?;
                writeln!(f, "`ultrai abandon --reason …`. New deploys are refused until then.")
            }
            Some(Ending::Superseded { by }) => writeln!(f, "Run {by} took its place."),
            Some(Ending::Abandoned { reason }) => {
                writeln!(f, "Abandoned: {reason}")?;
                self.left_data(f)
            }
            _ => self.left_data(f),
        }
    }
}

fn explain(f: &mut fmt::Formatter<'_>, what: &str, failure: &Failure) -> fmt::Result {
    writeln!(f, "{what}: {failure}")?;
    for evidence in &failure.evidence {
        writeln!(f, "  {} ({:?}):", evidence.subject, evidence.kind)?;
        for line in evidence.text.lines() {
            writeln!(f, "    {line}")?;
        }
    }
    Ok(())
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

/// Milliseconds, shown as seconds: `4.73 s`.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} s", self.0 / 1000, self.0 % 1000 / 10)
    }
}
