//! Killed at every operation of the journal, in every way, and killed again on the way back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde_json::json;
use ultrai_deploy_core::{
    Ending,
    migration::Status,
    pipeline::{DataPolicy, DeployRequest, Pipeline},
    report::Report,
};

use crate::{
    disk::SPOILED,
    journals::{At, Deadly, Disk, Files, Kill, Operation},
    lab::{Lab, Parts, ended, shop},
    scenarios::{
        NOW, OLD, Scenario, Wanted, cancelled, failing, migrating, others, restoring, troubled,
        upgrades,
    },
};

/// Before an effect or after it and before its result, whichever the record is; and torn.
const FLAVOURS: [Kill; 3] = [Kill::Before, Kill::After, Kill::Torn];

/// How a killed run is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    Resume,
    NextDeploy,
}

use Recovery::{NextDeploy, Resume};

/// One case: the process of a scenario is killed, perhaps the one that recovers it, too, and what
/// then is done must settle everything.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    at: (u64, Kill),
    again: Option<(u64, Kill)>,
    recovery: Recovery,
    /// Where the journal is, when it is one of files.
    files: Option<&'a Path>,
}

impl Case<'_> {
    fn journal(&self, lab: &Lab, at: Option<(u64, Kill)>) -> Arc<Deadly> {
        let disk: Arc<dyn Disk> = match self.files {
            Some(base) => Files::open(base, lab),
            None => Arc::new(lab.journal.clone()),
        };
        Deadly::on(disk, at.map(|(at, kill)| (At::Operation(at), kill)))
    }

    async fn recover(&self, lab: &Lab, journal: &Arc<Deadly>) -> Option<Report> {
        let pipeline: Pipeline = Parts { journal: Arc::clone(journal) as _, ..lab.parts() }.start();
        match self.recovery {
            Resume => journal.drive_resumed(&pipeline, true).await,
            NextDeploy => {
                let next = DeployRequest::new(shop("2.0.0", json!({})));
                journal.drive(pipeline.deploy(next)).await
            }
        }
    }

    /// Plays it; tells how the killed run ended, and what its first recovery asked of the journal.
    async fn play(&self, scenario: &Scenario) -> (&'static str, Vec<Operation>) {
        let ready = scenario.prepare().await;
        let lab = &ready.lab;
        let what = format!("{}: {self:?}", scenario.name);
        if let Some(base) = self.files {
            lab.copy_journal(base).await;
        }
        let last = lab.runs().await.pop();
        scenario.process(lab, &self.journal(lab, Some(self.at))).await;
        let killed = lab.runs().await.pop();

        let recovering = self.journal(lab, self.again);
        let mut report = self.recover(lab, &recovering).await;
        if self.again.is_some() {
            report = self.recover(lab, &self.journal(lab, None)).await;
        }
        if self.recovery == NextDeploy {
            assert!(ended(&report.unwrap()).starts_with("succeeded"), "{what}");
        }
        lab.assert_settled().await;
        let operations = recovering.operations();
        let Some(killed) = killed else { return ("nothing was written", operations) };
        if lab.records(&killed).await.is_empty() {
            return ("nothing was written", operations);
        }
        let report = lab.process().report(&killed).await.unwrap();
        if self.recovery == Resume && !matches!(scenario.run, Wanted::TakeOver(_)) {
            match &report.ending {
                Some(Ending::Succeeded { .. }) => {
                    assert_eq!(lab.serving().await, report.release, "{what}");
                }
                Some(Ending::RolledBack { to, .. }) => {
                    assert_eq!(*to, ready.serving, "{what}");
                    assert_eq!(lab.picture().await, ready.picture, "{what}: the same serve");
                }
                // It died before it had the lease: there is nothing to take over.
                Some(Ending::Refused { .. }) | None => {
                    assert_eq!(lab.picture().await, ready.picture, "{what}: the same serve");
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        assert_migrated(lab, &report, &what).await;
        let content = lab.disk.content();
        let content = content.unwrap_or_else(|| panic!("{what}: the data is of two times"));
        let is_its_own = !matches!(scenario.run, Wanted::TakeOver(_) | Wanted::Retry);
        if self.recovery == Resume && is_its_own && last.as_ref() != Some(&report.run) {
            assert_data(scenario, &report, &content, &what);
        }
        if scenario.is_cancelled() && report.cancelled {
            assert_ne!(ended(&report), "succeeded", "{what}: a cancelled run goes back");
        }
        (ended(&report), operations)
    }
}

/// A migration took effect once and never twice, unless it may be repeated; and where its end was not
/// seen, the run says so.
async fn assert_migrated(lab: &Lab, report: &Report, what: &str) {
    let ledger = lab.process().migrations().await.unwrap();
    for (name, entry) in &ledger.migrations {
        let runs = lab.world.task_runs(name);
        match entry.status {
            Status::Applied if name == "repeatable" => assert!(runs >= 1, "{what}: {name}"),
            Status::Applied => assert_eq!(runs, 1, "{what}: {name}"),
            Status::Unknown => assert!(runs <= 1 || name == "repeatable", "{what}: {name}"),
            other => panic!("{what}: {name} is {other}"),
        }
    }
    for one in &report.migrations {
        let known = ledger.status(&one.migration);
        // With the data that went back, what is known of it is lost.
        let is_back = report.data.restored.is_some() && known == Status::Unknown;
        let is_told = one.status == known || one.status == Status::Pending || is_back;
        let is_over = report.ending.is_some();
        assert!(is_told || !is_over, "{what}: {} is {known}, told {}", one.migration, one.status);
        let succeeded = matches!(report.ending, Some(Ending::Succeeded { .. }));
        assert!(!succeeded || known == Status::Applied, "{what}: {} is {known}", one.migration);
    }
}

/// The data is that of the release that serves, as far as anybody wanted it to be.
fn assert_data(scenario: &Scenario, report: &Report, content: &str, what: &str) {
    let is_restored = (scenario.policy)().data == DataPolicy::Restore;
    let is_wanted = matches!(scenario.run, Wanted::RollbackWithData | Wanted::Restore);
    match &report.ending {
        Some(Ending::Succeeded { .. }) if is_wanted => assert_eq!(content, OLD, "{what}"),
        Some(Ending::Succeeded { changed: true }) => assert_eq!(content, SPOILED, "{what}"),
        Some(Ending::RolledBack { to: Some(_), .. }) if is_restored || is_wanted => {
            assert_eq!(content, NOW, "{what}");
        }
        Some(Ending::Refused { .. }) | None => assert_eq!(content, NOW, "{what}"),
        _ => assert!([NOW, SPOILED].contains(&content), "{what}: {content}"),
    }
    assert_eq!(report.data.half_restored, None, "{what}");
}

/// What was played.
#[derive(Default)]
struct Tally {
    runs: usize,
    endings: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn count(&mut self, ending: &'static str) {
        self.runs += 1;
        *self.endings.entry(ending).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        for (ending, runs) in other.endings {
            *self.endings.entry(ending).or_default() += runs;
        }
    }

    #[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
    fn tell(&self, what: &str, least: usize) {
        println!("{what}: {} runs were killed; they ended: {:?}", self.runs, self.endings);
        assert!(self.runs >= least, "only {} runs", self.runs);
    }
}

/// What a scenario asks of the journal when nothing happens to it.
async fn operations(scenario: &Scenario) -> Vec<Operation> {
    let ready = scenario.prepare().await;
    let journal = Deadly::new(&ready.lab, None);
    scenario.process(&ready.lab, &journal).await;
    journal.operations()
}

/// In which ways an operation is killed: what only reads is before and after itself the same.
fn ways(operation: Operation) -> Vec<(Kill, Recovery)> {
    let flavours: &[Kill] = match operation {
        Operation::Append => &FLAVOURS,
        Operation::Repair | Operation::Remove => &FLAVOURS[..2],
        Operation::Load | Operation::Runs => &FLAVOURS[..1],
    };
    flavours.iter().map(|kill| (*kill, Resume)).collect()
}

/// What else may happen at an operation; each one gets two of these in turn.
const MORE: [(Kill, Recovery); 5] = [
    (Kill::DiskBefore, Resume),
    (Kill::After, NextDeploy),
    (Kill::DiskAfter, Resume),
    (Kill::Torn, NextDeploy),
    (Kill::Before, NextDeploy),
];

/// Every operation of every scenario.
async fn killed_everywhere(what: &str, scenarios: Vec<Scenario>, more: bool, least: usize) {
    let mut all = Tally::default();
    for scenario in scenarios {
        let mut tally = Tally::default();
        let operations = operations(&scenario).await;
        let mut others = MORE.into_iter().cycle();
        for (at, operation) in (1..).zip(&operations) {
            let more = others.by_ref().take(if more { 2 } else { 0 });
            for (kill, recovery) in ways(*operation).into_iter().chain(more) {
                let case = Case { at: (at, kill), again: None, recovery, files: None };
                tally.count(case.play(&scenario).await.0);
            }
        }
        tally.tell(&format!("{}, {} operations", scenario.name, operations.len()), 1);
        all.add(tally);
    }
    all.tell(what, least);
}

/// For a sample of first deaths, the recovery is killed at every one of its operations.
async fn killed_twice(what: &str, scenarios: Vec<Scenario>, every: usize, least: usize) {
    let mut all = Tally::default();
    for scenario in scenarios {
        let mut tally = Tally::default();
        let appends = (1..).zip(operations(&scenario).await);
        let appends = appends.filter(|(_, operation)| *operation == Operation::Append);
        for (number, (at, _)) in appends.step_by(every).enumerate() {
            let recovery = if number % 4 == 3 { NextDeploy } else { Resume };
            let at = (at, FLAVOURS[number % 3]);
            let case = Case { at, again: None, recovery, files: None };
            let (_, recovering) = case.play(&scenario).await;
            for (again, _) in (1..).zip(recovering) {
                let then = FLAVOURS[(number + usize::try_from(again).unwrap()) % 3];
                let case = Case { again: Some((again, then)), ..case };
                tally.count(case.play(&scenario).await.0);
            }
        }
        tally.tell(&format!("{}, killed twice", scenario.name), 1);
        all.add(tally);
    }
    all.tell(what, least);
}

/// So that all of them are among those that are killed.
#[tokio::test(start_paused = true)]
async fn the_scenarios_ask_for_every_operation() {
    let mut all = BTreeSet::new();
    for scenario in others() {
        all.extend(operations(&scenario).await);
    }
    assert_eq!(all, Operation::ALL.into());
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_killed_everywhere() {
    killed_everywhere("upgrades", upgrades(), true, 1500).await;
}

#[tokio::test(start_paused = true)]
async fn anything_else_killed_everywhere() {
    killed_everywhere("anything else", others(), true, 1500).await;
}

#[tokio::test(start_paused = true)]
async fn migrations_killed_everywhere() {
    killed_everywhere("migrations", migrating(), true, 500).await;
}

#[tokio::test(start_paused = true)]
async fn migrations_killed_again_during_recovery() {
    killed_twice("migrations, twice", migrating(), 5, 300).await;
}

#[tokio::test(start_paused = true)]
async fn restores_killed_everywhere() {
    killed_everywhere("restores", restoring(), true, 1500).await;
}

#[tokio::test(start_paused = true)]
async fn restores_killed_again_during_recovery() {
    killed_twice("restores, twice", restoring(), 7, 500).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_each_stage_killed_everywhere() {
    killed_everywhere("a failure at each stage", failing(), false, 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_in_each_stage_killed_everywhere() {
    killed_everywhere("a cancellation in each stage", cancelled(), false, 1000).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_killed_everywhere() {
    killed_everywhere("trouble", troubled(), false, 1000).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_killed_again_during_recovery() {
    killed_twice("upgrades, twice", upgrades(), 13, 500).await;
}

#[tokio::test(start_paused = true)]
async fn anything_else_killed_again_during_recovery() {
    killed_twice("anything else, twice", others(), 13, 500).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_killed_again_during_recovery() {
    killed_twice("trouble, twice", troubled(), 13, 500).await;
}

/// The same with real files, torn by their bytes: on a file system in memory where there is one,
/// for its speed.
#[tokio::test(start_paused = true)]
async fn journal_files_torn_everywhere() {
    let memory = Path::new("/dev/shm");
    let mut tally = Tally::default();
    for scenario in upgrades().into_iter().chain(migrating()).chain(troubled()).step_by(4) {
        for (at, operation) in (1..).zip(operations(&scenario).await) {
            if operation != Operation::Append {
                continue;
            }
            let base = if memory.is_dir() {
                tempfile::tempdir_in(memory).unwrap()
            } else {
                tempfile::tempdir().unwrap()
            };
            let at = (at, Kill::Torn);
            let case = Case { at, again: None, recovery: Resume, files: Some(base.path()) };
            tally.count(case.play(&scenario).await.0);
        }
    }
    tally.tell("journal files, torn", 150);
}
