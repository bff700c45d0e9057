//! Every state that two drivers can bring one run to, with crashes, lost leases and calls in flight.
//!
//! The state machine is the real one; what is around it is a model as small as can be: a platform
//! that serves one of two releases, a lease, a journal that refuses a record that does not follow
//! its last one. A breadth-first search takes every step that a driver, the platform or fate can
//! take, checks the invariants in every state, and then that an ending can be reached from each.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{collections::HashMap, sync::Arc};

use ultrai_deploy_core::{
    Ending, ErrorKind,
    deployer::{Observation, Step, StepRecord},
    error::{Effect, Failure},
    journal::{Event, FORMAT, Initiator, Kind},
    lease::{Fence, Holder},
    name::{EnvironmentName, ProjectName, ReleaseId, RunId, Target},
    stage::Stage,
    state::{Next, Phase, State, StepStatus},
};

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Serves {
    Old,
    /// Neither whole.
    Mixed,
    New,
}

/// A process that drives the run.
#[derive(Clone, Debug)]
struct Driver {
    fence: u64,
    /// The journal as it knows it; that of a driver that was paused is older than the real one.
    state: State,
    length: u64,
    at: At,
    /// It took over a run that another one began.
    resumed: bool,
    /// The open intent is its own, and not called for yet: nothing is unknown about it.
    opened: bool,
}

/// Where a driver is between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// It has the lease and has read the journal, and has written nothing yet.
    Joining,
    /// The state says what is next.
    Loop,
    /// It waits for the answer to its call.
    Calling,
    /// It has an answer to journal.
    Answered(Answer),
    /// It got none, and waits until it can see what became of the call.
    Unanswered,
    /// It has looked at what serves.
    Looked { well: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Done,
    /// It failed and does not know what it has done.
    Unknown,
    /// It failed and has done nothing.
    Nothing,
}

#[derive(Clone, Debug)]
struct World {
    /// What the durable records lead to, and how many there are.
    state: State,
    length: u64,
    /// The newest taking of the lease.
    fence: u64,
    serves: Serves,
    staged: bool,
    retired: bool,
    /// Checks have passed since the platform was changed last.
    proven: bool,
    drivers: [Option<Driver>; 2],
    /// A call that may still take effect, and the fence of the driver that made it.
    in_flight: Option<(Step, u64)>,
}

fn release(id: &str) -> ReleaseId {
    ReleaseId::new(id).unwrap()
}

fn failure(effect: Effect) -> Failure {
    Failure {
        kind: ErrorKind::Unavailable,
        effect,
        message: String::new(),
        causes: Vec::new(),
        evidence: Vec::new(),
    }
}

fn holder() -> Holder {
    Holder {
        run: RunId::new("r").unwrap(),
        host: String::new(),
        process: 1,
        user: String::new(),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn created() -> Event {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Event::Created {
        format: FORMAT,
        engine: String::new(),
        target,
        kind: Kind::Deploy,
        version: None,
        skips: Vec::new(),
        plan: None,
        initiator: Initiator::default(),
    }
}

fn cause(state: &State) -> Failure {
    match state.phase() {
        Phase::Failed { cause, .. }
        | Phase::Undoing { cause, .. }
        | Phase::Proving { cause, .. } => cause.clone(),
        other => panic!("no cause in {other:?}"),
    }
}

fn stuck(state: &State) -> Event {
    let undo = failure(Effect::Unknown);
    Event::Ended { ending: Ending::Stuck { cause: cause(state), undo } }
}

impl World {
    /// One driver is about to write its first record.
    fn new() -> Self {
        let state = State::new();
        let driver = Driver {
            fence: 0,
            state: state.clone(),
            length: 0,
            at: At::Loop,
            resumed: false,
            opened: false,
        };
        Self {
            state,
            length: 0,
            fence: 0,
            serves: Serves::Old,
            staged: false,
            retired: false,
            proven: true,
            drivers: [Some(driver), None],
            in_flight: None,
        }
    }

    /// All that can happen next.
    fn successors(&self) -> Vec<Self> {
        let mut all = Vec::new();
        self.platform_acts(&mut all);
        for at in 0..2 {
            if let Some(driver) = &self.drivers[at] {
                let mut dead = self.clone();
                dead.drivers[at] = None;
                all.push(dead);
                self.goes_on(at, driver, &mut all);
            } else if self.state.was_locked() && !self.state.is_final() {
                // The other one is dead, or is paused for longer than its lease lives.
                let mut next = self.clone();
                next.fence += 1;
                next.drivers[at] = Some(Driver {
                    fence: next.fence,
                    state: self.state.clone(),
                    length: self.length,
                    at: At::Joining,
                    resumed: true,
                    opened: false,
                });
                all.push(next);
            }
        }
        all
    }

    /// The call in flight takes effect, half of it does, or nothing.
    fn platform_acts(&self, all: &mut Vec<Self>) {
        let Some((step, fence)) = self.in_flight else { return };
        for (whole, half, answer) in [
            (true, false, Answer::Done),
            (true, false, Answer::Unknown),
            (false, true, Answer::Unknown),
            (false, false, Answer::Unknown),
            (false, false, Answer::Nothing),
        ] {
            let mut next = self.clone();
            next.in_flight = None;
            if whole || half {
                next.take_effect(step, whole);
            }
            let mut callers = next.drivers.iter_mut().flatten();
            if let Some(caller) = callers.find(|driver| driver.fence == fence)
                && caller.at == At::Calling
            {
                caller.at = At::Answered(answer);
            }
            all.push(next);
        }
    }

    fn take_effect(&mut self, step: Step, whole: bool) {
        self.proven = false;
        match step {
            Step::Stage => self.staged = true,
            Step::Switch => self.serves = if whole { Serves::New } else { Serves::Mixed },
            Step::Retire => self.retired = true,
            Step::Rollback => {
                self.serves = if whole { Serves::Old } else { Serves::Mixed };
                self.staged &= !whole;
            }
            other => panic!("{other:?} is not modelled"),
        }
        if step == Step::Retire {
            // It touches only what does not serve.
            self.proven = true;
        }
    }

    /// What became of a step, for one who looks once nothing is in flight any more.
    fn observe(&self, step: Step) -> Observation {
        let (done, begun) = match step {
            Step::Stage => (self.staged, self.staged),
            Step::Switch => (self.serves == Serves::New, self.serves != Serves::Old),
            Step::Retire => (self.retired, self.retired),
            Step::Rollback => (self.serves == Serves::Old && !self.staged, true),
            other => panic!("{other:?} is not modelled"),
        };
        match (done, begun) {
            (true, _) => Observation::Done,
            (false, true) => Observation::Partial,
            (false, false) => Observation::NotDone,
        }
    }

    /// The driver writes a record, or finds out with it that the run is not its own any more and
    /// stops. This is the one rule of all journals.
    fn writes(&self, at: usize, event: &Event, all: &mut Vec<Self>) {
        let mut next = self.clone();
        let mut driver = next.drivers[at].take().unwrap();
        driver.state.apply(event).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        if driver.length == self.length && driver.fence >= self.state.fence().0 {
            next.length += 1;
            driver.length = next.length;
            next.state = driver.state.clone();
            driver.at = At::Loop;
            driver.opened = matches!(event, Event::Intent { .. });
            if !matches!(event, Event::Ended { .. }) {
                next.drivers[at] = Some(driver);
            }
        }
        all.push(next);
    }

    fn moves(&self, at: usize, to: At, all: &mut Vec<Self>) {
        let mut next = self.clone();
        next.drivers[at].as_mut().unwrap().at = to;
        all.push(next);
    }

    fn goes_on(&self, at: usize, driver: &Driver, all: &mut Vec<Self>) {
        let state = &driver.state;
        match driver.at {
            At::Joining => {
                let fence = Fence(driver.fence);
                self.writes(at, &Event::Adopted { fence, holder: holder() }, all);
            }
            // No answer comes in time.
            At::Calling => self.moves(at, At::Unanswered, all),
            At::Answered(answer) => {
                let step = state.open_attempt().unwrap().step;
                let failed = |effect| Event::StepFailed { step, failure: failure(effect) };
                let event = match answer {
                    Answer::Done => Event::StepDone { step },
                    Answer::Unknown => failed(Effect::Unknown),
                    Answer::Nothing => failed(Effect::None),
                };
                self.writes(at, &event, all);
            }
            At::Unanswered => {
                // While something is in flight it is in progress, and nothing is recorded.
                if self.in_flight.is_none() {
                    let step = state.open_attempt().unwrap().step;
                    let observation = self.observe(step);
                    self.writes(at, &Event::Reconciled { step, observation }, all);
                }
            }
            At::Looked { well } => self.tells(at, state, well, all),
            At::Loop => self.decides(at, driver, all),
        }
    }

    /// One turn of the driver's loop.
    fn decides(&self, at: usize, driver: &Driver, all: &mut Vec<Self>) {
        let state = &driver.state;
        match state.next() {
            Next::Create => self.writes(at, &created(), all),
            Next::Run(next) if *state.phase() == Phase::Ready(next) => {
                self.writes(at, &Event::StageStarted { stage: next }, all);
            }
            Next::Run(next) => self.stage(at, driver, next, all),
            Next::Reconcile(step) if !driver.opened => {
                // While something is in flight it is in progress, and nothing is recorded.
                if self.in_flight.is_none() {
                    let observation = self.observe(step);
                    self.writes(at, &Event::Reconciled { step, observation }, all);
                }
            }
            Next::Reconcile(step) => self.calls(at, driver, step, all),
            Next::Refuse => {
                let ending = Ending::Refused { cause: cause(state) };
                self.writes(at, &Event::Ended { ending }, all);
            }
            Next::GoBack => {
                if state.is_done(Step::Switch) && !state.is_hold_over() {
                    let until = jiff::Timestamp::UNIX_EPOCH;
                    self.writes(at, &Event::Held { until, cause: cause(state) }, all);
                }
                let to = Some(release("old"));
                self.writes(
                    at,
                    &Event::RollbackDecided { cause: cause(state), to, data: None },
                    all,
                );
            }
            Next::Undo => {
                self.intends(at, driver, Step::Rollback, all);
                self.writes(at, &stuck(state), all);
            }
            Next::Prove => self.looks(at, Serves::Old, all),
            Next::Conclude => {
                let ending = Ending::Succeeded { changed: true };
                self.writes(at, &Event::Ended { ending }, all);
            }
            Next::Wait => {
                // A person accepts it after a look, or time or a person takes it back.
                let over = |proceed| Event::HoldReleased { proceed, initiator: None };
                self.writes(at, &over(false), all);
                if self.serves == Serves::New {
                    let mut accepted = self.clone();
                    accepted.proven = true;
                    accepted.writes(at, &over(true), all);
                }
            }
            Next::Nothing => {
                let retried = Event::RollbackRetried { initiator: Initiator::default() };
                self.writes(at, &retried, all);
            }
            other => panic!("{other:?}"),
        }
    }

    fn stage(&self, at: usize, driver: &Driver, stage: Stage, all: &mut Vec<Self>) {
        let run = &driver.state;
        let finished = Event::StageFinished { stage };
        if !run.is_past_return() {
            let failure = failure(Effect::None);
            self.writes(at, &Event::StageFailed { stage, failure, reaction: None }, all);
            if driver.resumed && run.release().is_none() {
                return;
            }
        }
        match stage {
            Stage::Lock if !run.was_locked() => {
                let mut next = self.clone();
                next.fence += 1;
                next.drivers[at].as_mut().unwrap().fence = next.fence;
                let fence = Fence(next.fence);
                next.writes(at, &Event::Locked { fence, holder: holder() }, all);
            }
            Stage::Lock if run.baseline().is_none() => {
                let serving = Some(release("old"));
                self.writes(
                    at,
                    &Event::Observed {
                        serving,
                        version: None,
                        proven: true,
                        failed: None,
                        supersedes: None,
                    },
                    all,
                );
            }
            Stage::Push if run.release().is_none() => {
                self.writes(at, &Event::Sealed { release: release("new") }, all);
            }
            Stage::Deploy if !run.is_done(Step::Switch) => {
                let staged = run.is_done(Step::Stage);
                let step = if staged { Step::Switch } else { Step::Stage };
                self.intends(at, driver, step, all);
            }
            Stage::Verify | Stage::PostDeployTests => self.looks(at, Serves::New, all),
            Stage::Finalise if !run.is_done(Step::Retire) => {
                self.intends(at, driver, Step::Retire, all);
                // What cannot be removed is left.
                self.writes(at, &finished, all);
            }
            _ => self.writes(at, &finished, all),
        }
    }

    fn intends(&self, at: usize, driver: &Driver, step: Step, all: &mut Vec<Self>) {
        let attempt = driver.state.next_attempt(step);
        let record = Arc::new(StepRecord::new(1, serde_json::Value::Null));
        self.writes(at, &Event::Intent { step, attempt, record }, all);
    }

    /// The driver checks its lease and calls the platform; without the lease it stops.
    fn calls(&self, at: usize, driver: &Driver, step: Step, all: &mut Vec<Self>) {
        let mut next = self.clone();
        if driver.fence < self.fence {
            next.drivers[at] = None;
        } else {
            assert_eq!(self.in_flight, None, "two calls at once: {self:?}");
            next.in_flight = Some((step, driver.fence));
            next.drivers[at].as_mut().unwrap().at = At::Calling;
        }
        all.push(next);
    }

    /// Checks tell the truth, and may fail for reasons of their own.
    fn looks(&self, at: usize, wanted: Serves, all: &mut Vec<Self>) {
        self.moves(at, At::Looked { well: false }, all);
        if self.serves == wanted {
            let mut proven = self.clone();
            proven.proven = true;
            proven.moves(at, At::Looked { well: true }, all);
        }
    }

    /// The driver writes what it saw.
    fn tells(&self, at: usize, run: &State, well: bool, all: &mut Vec<Self>) {
        let event = match run.phase() {
            Phase::Running(stage) if well => Event::StageFinished { stage: *stage },
            Phase::Running(stage) => {
                Event::StageFailed { stage: *stage, failure: failure(Effect::None), reaction: None }
            }
            _ if well => {
                let to = Some(release("old"));
                Event::Ended { ending: Ending::RolledBack { to, cause: cause(run) } }
            }
            _ => stuck(run),
        };
        self.writes(at, &event, all);
    }

    /// Over for good, or over before the environment was anybody's.
    fn is_over(&self) -> bool {
        let nobody = self.drivers.iter().all(Option::is_none);
        self.state.is_final() || (nobody && !self.state.was_locked())
    }

    fn check(&self) {
        // 7: an effect is under way only under a durable intent that nobody has closed.
        if let Some((step, _)) = self.in_flight {
            let open = self.state.open_attempt().map(|attempt| attempt.step);
            assert_eq!(open, Some(step), "an effect without an intent: {self:?}");
        }
        let newest = self.drivers.iter().flatten().filter(|one| one.fence == self.fence);
        assert!(newest.count() <= 1, "two with the lease: {self:?}");
        let is_quiet = self.in_flight.is_none();
        match self.state.ending() {
            // 4
            Some(Ending::Succeeded { .. }) => {
                assert!(is_quiet && self.proven && self.serves == Serves::New, "{self:?}");
            }
            // 5
            Some(Ending::RolledBack { .. }) => {
                assert!(is_quiet && self.proven && self.serves == Serves::Old, "{self:?}");
                assert!(!self.staged && !self.retired, "{self:?}");
            }
            Some(Ending::Refused { .. }) => {
                assert!(is_quiet && !self.staged && self.serves == Serves::Old, "{self:?}");
            }
            _ => {}
        }
        let going_back = matches!(self.state.next(), Next::GoBack | Next::Undo | Next::Prove);
        assert!(!(self.retired && going_back), "back to what is gone: {self:?}");
    }

    /// All that what can happen next depends on. Numbers count only as far as they are compared,
    /// and a driver that the journal has left behind can only find that out.
    fn key(&self) -> String {
        let state = &self.state;
        let closed = state.attempts().iter().filter(|one| one.status != StepStatus::Open);
        let touched = closed.clone().any(|one| one.status == StepStatus::Done || one.has_effects);
        let done = [Step::Stage, Step::Switch, Step::Retire, Step::Rollback]
            .map(|step| state.is_done(step));
        let drivers = self.drivers.each_ref().map(|driver| {
            let driver = driver.as_ref()?;
            let behind = driver.length != self.length;
            let lease = (driver.fence == self.fence, driver.fence < state.fence().0);
            Some((behind, lease, driver.at, driver.resumed, driver.opened, driver.fence == 0))
        });
        let caller = self.in_flight.map(|(step, fence)| {
            let alive = self
                .drivers
                .each_ref()
                .map(|driver| driver.as_ref().is_some_and(|driver| driver.fence == fence));
            (step, alive)
        });
        let phase = (state.phase().describe(), state.was_locked(), state.baseline().is_some());
        let open = state.open_attempt().map(|one| one.step);
        let held = state.is_hold_over();
        let steps = (held, state.release().is_some(), open, touched, done, state.is_past_return());
        let platform = (self.serves, self.staged, self.retired, self.proven);
        format!("{phase:?} {steps:?} {platform:?} {drivers:?} {caller:?}")
    }
}

/// The states by what they depend on, each with those that lead to it.
#[derive(Default)]
struct Search {
    known: HashMap<String, usize>,
    worlds: Vec<World>,
    before: Vec<Vec<usize>>,
    steps: usize,
}

impl Search {
    fn see(&mut self, world: World) -> usize {
        let number = self.worlds.len();
        let known = *self.known.entry(world.key()).or_insert(number);
        if known == number {
            world.check();
            self.worlds.push(world);
            self.before.push(Vec::new());
        }
        known
    }

    fn whole() -> Self {
        let mut search = Self::default();
        search.see(World::new());
        let mut next = 0;
        while next < search.worlds.len() {
            for world in search.worlds[next].successors() {
                let seen = search.see(world);
                search.before[seen].push(next);
                search.steps += 1;
            }
            next += 1;
        }
        search
    }

    /// From which states one of `goals` can be reached.
    fn leading_to(&self, goals: impl Fn(&World) -> bool) -> Vec<bool> {
        let mut leads: Vec<bool> = self.worlds.iter().map(goals).collect();
        let mut queue: Vec<usize> = (0..leads.len()).filter(|number| leads[*number]).collect();
        while let Some(number) = queue.pop() {
            for before in &self.before[number] {
                if !std::mem::replace(&mut leads[*before], true) {
                    queue.push(*before);
                }
            }
        }
        leads
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
fn no_state_breaks_its_word_and_each_can_reach_an_ending() {
    let search = Search::whole();
    let leads = search.leading_to(World::is_over);
    let dead_end = leads.iter().position(|leads| !leads);
    assert!(dead_end.is_none(), "never over: {:?}", search.worlds[dead_end.unwrap()]);
    let ended = |name: &str| {
        let endings = search.worlds.iter().filter_map(|world| world.state.ending());
        endings.filter(|ending| ending.as_str() == name).count()
    };
    let endings = ["succeeded", "refused", "rolled back", "stuck"].map(|name| (name, ended(name)));
    println!(
        "two drivers, every crash, every loss of the lease, a hold: {} states, {} steps between them; \
         endings: {endings:?}",
        search.worlds.len(),
        search.steps
    );
    assert!(endings.iter().all(|(_, states)| *states > 0), "{endings:?}");
    assert!(search.worlds.len() > 1000, "{}", search.worlds.len());
}
