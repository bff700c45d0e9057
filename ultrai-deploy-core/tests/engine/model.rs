//! The engine beside a model of it that knows only what may serve: whatever people and fate do.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use ultrai_deploy_core::{
    ErrorKind,
    deployer::Step,
    lease::Wait,
    name::ReleaseId,
    pipeline::{DeployRequest, FailureAction, Pipeline, Run, Unfinished},
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::{
    failures::faulty,
    faults::{Call, How},
    journals::{At, Deadly, Kill},
    lab::{CancelAt, Lab, Parts, ended, fails, shop, with_test},
    policies,
};

/// What is deployed: a version of its own that is good or not.
#[derive(Clone, Copy, Debug)]
struct What {
    version: u32,
    good: bool,
}

impl What {
    fn spec(self) -> ReleaseSpec {
        let backend = if self.good { json!({}) } else { json!({ "healthy": "staged" }) };
        shop(&format!("1.{}.0", self.version), backend)
    }
}

#[derive(Clone, Debug)]
enum Command {
    Deploy(What),
    /// What serves, once more.
    Again,
    Rollback(u32),
    /// The process dies at a record.
    Crash(What, u64, Kill),
    Cancel(What, u64),
    /// The process is stopped at a record, taken over, and goes on.
    Pause(What, u64),
    /// A bad deploy whose rollback fails.
    GetStuck(u32),
    /// A deploy whose tests fail, and that waits for a person.
    Hold(u32),
    /// The person accepts it.
    Accept,
    Resume,
    Retry,
    Abandon,
}

/// All that the model knows.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Model {
    /// What may serve once nothing is unfinished; 0 is nothing.
    serving: BTreeSet<u32>,
    /// Good versions that certainly were deployed, the last few.
    known: Vec<u32>,
    /// A run may be unfinished.
    unfinished: bool,
    stuck: bool,
    /// It waits for a person, and serves.
    held: Option<u32>,
    /// Versions that a person accepted although their tests fail.
    accepted: BTreeSet<u32>,
    /// A person gave a run up: what it left is left.
    abandoned: bool,
    /// And nobody has brought anything good since: what serves may be no way back.
    broken: bool,
    next: u32,
}

impl Model {
    /// What may serve after a deploy of which nobody knows how far it comes.
    fn may_bring(&mut self, what: What) {
        if what.good && !self.stuck {
            self.serving.insert(what.version);
        }
    }

    fn certainly(&mut self, version: u32) {
        self.serving = BTreeSet::from([version]);
        (self.unfinished, self.broken, self.held) = (false, false, None);
        self.known.retain(|known| *known != version);
        self.known.push(version);
        if self.known.len() > 3 {
            self.known.remove(0);
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Command;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            serving: BTreeSet::from([0]),
            known: Vec::new(),
            unfinished: false,
            stuck: false,
            held: None,
            accepted: BTreeSet::new(),
            abandoned: false,
            broken: false,
            next: 1,
        })
        .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Command> {
        let version = state.next;
        if state.broken {
            return Just(Command::Deploy(What { version, good: true })).boxed();
        }
        let what = any::<bool>().prop_map(move |good| What { version, good });
        let kill = prop::sample::select(vec![Kill::Before, Kill::After, Kill::Torn]);
        let targets = if state.known.is_empty() { vec![0] } else { state.known.clone() };
        let at = 1..70_u64;
        prop_oneof![
            3 => what.clone().prop_map(Command::Deploy),
            1 => Just(Command::Again),
            2 => prop::sample::select(targets).prop_map(Command::Rollback),
            5 => (what.clone(), at.clone(), kill).prop_map(|(w, at, kill)| Command::Crash(w, at, kill)),
            2 => (what.clone(), at.clone()).prop_map(|(what, at)| Command::Cancel(what, at)),
            2 => (what, at).prop_map(|(what, at)| Command::Pause(what, at)),
            1 => Just(Command::GetStuck(version)),
            3 => Just(Command::Hold(version)),
            2 => Just(Command::Accept),
            3 => Just(Command::Resume),
            2 => Just(Command::Retry),
            1 => Just(Command::Abandon),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, command: &Command) -> bool {
        let settled = !state.unfinished && !state.stuck && state.held.is_none();
        match command {
            Command::Deploy(what) if state.broken => what.good,
            _ if state.broken => false,
            Command::Again => {
                let sound =
                    !state.serving.contains(&0) && state.serving.is_disjoint(&state.accepted);
                settled && !state.abandoned && sound
            }
            Command::GetStuck(_) => settled && !state.abandoned && !state.serving.contains(&0),
            Command::Hold(_) => settled && !state.abandoned,
            Command::Accept => state.held.is_some(),
            Command::Rollback(to) => state.known.contains(to),
            Command::Abandon => state.unfinished || state.stuck || state.held.is_some(),
            _ => true,
        }
    }

    fn apply(mut state: Self, command: &Command) -> Self {
        state.next += 1;
        match command {
            // Who deploys finishes what is unfinished first; what is stuck keeps everybody out.
            Command::Deploy(what) if !state.stuck => {
                if what.good {
                    state.certainly(what.version);
                }
                // One that fails goes back to what served before the held one.
                (state.unfinished, state.held) = (false, None);
            }
            Command::Rollback(to) if !state.stuck => state.certainly(*to),
            Command::Crash(what, ..) => {
                state.may_bring(*what);
                state.unfinished |= !state.stuck;
                state.held = None;
            }
            Command::Cancel(what, _) | Command::Pause(what, _) => {
                state.may_bring(*what);
                state.unfinished &= state.stuck;
                state.held = None;
            }
            Command::GetStuck(_) => state.stuck = true,
            Command::Hold(version) => state.held = Some(*version),
            Command::Accept => {
                state.accepted.extend(state.held);
                state.serving = state.held.take().into_iter().collect();
            }
            Command::Resume => (state.unfinished, state.held) = (false, None),
            Command::Retry => (state.unfinished, state.stuck, state.held) = (false, false, None),
            Command::Abandon => {
                (state.unfinished, state.stuck, state.held) = (false, false, None);
                (state.abandoned, state.broken) = (true, true);
            }
            Command::Deploy(_) | Command::Rollback(_) | Command::Again => {}
        }
        state
    }
}

/// Its tests fail after the switch.
fn doubtful(version: u32) -> ReleaseSpec {
    with_test(shop(&format!("1.{version}.0"), fails(When::Post)), When::Post)
}

fn holding(lab: &Lab) -> Pipeline {
    policies::parts(lab, Stage::PostDeployTests, FailureAction::Hold).start()
}

struct Sut {
    runtime: Runtime,
    lab: Lab,
    /// The releases by their versions.
    releases: BTreeMap<u32, ReleaseId>,
    specs: BTreeMap<ReleaseId, What>,
    stuck: bool,
}

impl Sut {
    async fn command(&mut self, command: Command) {
        let lab = &self.lab;
        match command {
            Command::Deploy(what) => {
                let report = lab.deploy(what.spec()).await;
                let wanted = match (self.stuck, what.good) {
                    (true, _) => "refused",
                    (false, true) => "succeeded",
                    (false, false) => "rolled back",
                };
                assert_eq!(ended(&report), wanted, "{report}");
            }
            Command::Again => {
                let what = self.specs[&lab.serving().await.unwrap()];
                let before = lab.stamps();
                assert_eq!(ended(&lab.deploy(what.spec()).await), "succeeded, nothing changed");
                assert_eq!(lab.stamps(), before, "nothing is restarted");
            }
            Command::Rollback(to) => {
                let report = lab.roll_back(&self.releases[&to]).await;
                assert_eq!(ended(&report) == "refused", self.stuck, "{report}");
            }
            Command::Crash(what, at, kill) => {
                let journal = Deadly::new(lab, Some((At::Append(at), kill)));
                let pipeline = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() }.start();
                journal.drive(pipeline.deploy(DeployRequest::new(what.spec()))).await;
            }
            Command::Cancel(what, at) => {
                let left = std::sync::atomic::AtomicU64::new(at);
                let canceller = CancelAt::new(move |_| {
                    left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1
                });
                let mut parts = lab.parts();
                parts.observers.push(Arc::clone(&canceller) as _);
                let run = parts.start().deploy(DeployRequest::new(what.spec()));
                canceller.watch(&run);
                run.join().await.unwrap();
                self.close().await;
            }
            Command::Pause(what, at) => {
                let journal = Deadly::new(lab, Some((At::Append(at), Kill::Stop)));
                let pipeline = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() }.start();
                let run = pipeline.deploy(DeployRequest::new(what.spec()));
                let mut run = Box::pin(run.join());
                tokio::select! {
                    biased;
                    _ = &mut run => {}
                    () = journal.happened() => {
                        let taker = Deadly::new(lab, None);
                        taker.drive_resumed(&lab.process(), false).await;
                        journal.go_on();
                        let _lost = run.await;
                    }
                }
                drop(pipeline);
                self.close().await;
            }
            Command::GetStuck(version) => {
                let parts = faulty(lab, |_, call| {
                    (call == Call::Act(Step::Rollback)).then_some(How::Before)
                });
                let bad = What { version, good: false };
                let run = parts.start().deploy(DeployRequest::new(bad.spec()));
                assert_eq!(ended(&run.join().await.unwrap()), "stuck");
                self.stuck = true;
            }
            Command::Hold(version) => {
                let report = holding(lab).deploy(DeployRequest::new(doubtful(version)));
                assert!(report.join().await.unwrap().held_until.is_some());
            }
            Command::Accept => {
                let accepted = lab.process().accept(Wait::No).await.unwrap();
                assert_eq!(ended(&accepted.join().await.unwrap()), "succeeded");
            }
            Command::Resume => self.close().await,
            Command::Retry => {
                while let Some(run) = lab.process().resume(true, Wait::No).await.unwrap() {
                    self.take_back(&run).await;
                    assert_ne!(ended(&run.join().await.unwrap()), "stuck");
                }
                self.stuck = false;
            }
            Command::Abandon => {
                while let Ok(run) = lab.process().abandon("a person says so").await {
                    assert_eq!(ended(&lab.process().report(&run).await.unwrap()), "abandoned");
                }
                self.stuck = false;
            }
        }
    }

    /// A run that is held goes back; any other is let be.
    async fn take_back(&self, run: &Run) {
        let found = self.lab.process().unfinished().await.unwrap();
        if found.is_some_and(|found| found.held_until().is_some()) {
            run.cancel().cancel();
        }
    }

    /// Finishes what is unfinished; what is stuck is refused.
    async fn close(&self) {
        loop {
            match self.lab.process().resume(false, Wait::No).await {
                Ok(None) => return,
                Ok(Some(run)) => {
                    self.take_back(&run).await;
                    drop(run.join().await.unwrap());
                }
                Err(error) => {
                    assert!(self.stuck && error.kind() == ErrorKind::Stuck, "{error}");
                    return;
                }
            }
        }
    }

    /// What the model calls the release that serves.
    async fn serving(&self) -> u32 {
        let Some(id) = self.lab.serving().await else { return 0 };
        self.specs[&id].version
    }

    async fn learn(&mut self, what: What) {
        for run in self.lab.runs().await {
            let Ok(report) = self.lab.process().report(&run).await else { continue };
            let version = report.version.map(|version| version.to_string());
            let (Some(version), Some(release)) = (version, report.release) else { continue };
            if version == format!("1.{}.0", what.version) {
                self.releases.insert(what.version, release.clone());
                self.specs.insert(release, what);
            }
        }
    }
}

impl StateMachineTest for Sut {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let (runtime, lab) = (runtime.unwrap(), Lab::new());
        let (releases, specs) = Default::default();
        Self { runtime, lab, releases, specs, stuck: false }
    }

    fn apply(mut sut: Self, model: &Model, command: Command) -> Self {
        let runtime =
            std::mem::replace(&mut sut.runtime, Builder::new_current_thread().build().unwrap());
        runtime.block_on(async {
            let what = match &command {
                Command::Deploy(what)
                | Command::Crash(what, ..)
                | Command::Cancel(what, _)
                | Command::Pause(what, _) => Some(*what),
                Command::GetStuck(version) => Some(What { version: *version, good: false }),
                Command::Hold(version) => Some(What { version: *version, good: true }),
                _ => None,
            };
            let text = format!("{command:?}");
            sut.command(command).await;
            if let Some(what) = what {
                sut.learn(what).await;
            }
            let unfinished = sut.lab.process().unfinished().await.unwrap();
            assert_eq!(unfinished.as_ref().is_some_and(Unfinished::is_stuck), model.stuck);
            let held = unfinished.as_ref().is_some_and(|found| found.held_until().is_some());
            if let Some(version) = model.held {
                assert!(held, "after {text}");
                assert_eq!(sut.serving().await, version, "after {text}");
                return;
            }
            if model.stuck || model.unfinished || model.abandoned {
                return;
            }
            assert!(unfinished.is_none(), "after {text}");
            let serving = sut.serving().await;
            assert!(model.serving.contains(&serving), "{serving} serves after {text}: {model:?}");
            sut.lab.assert_settled().await;
        });
        sut.runtime = runtime;
        sut
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
fn the_engine_keeps_to_the_model() {
    let mut config =
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) };
    // `PROPTEST_RNG_SEED` replays a run.
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!("{} random lives of an environment: PROPTEST_RNG_SEED={seed}", config.cases);
    let mut runner = TestRunner::new(config.clone());
    let lives = Model::sequential_strategy(1..12);
    let result = runner.run(&lives, |(model, commands, seen)| {
        Sut::test_sequential(config.clone(), model, commands, seen);
        Ok(())
    });
    if let Err(error) = result {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}
