//! What serves, what is unfinished, and what to do next.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::Serialize;
use ultrai_deploy_core::{
    Ending, Error, Result,
    current::{Current, Running, Serving},
    error::Failure,
    lease::Holder,
    name::{ReleaseId, RunId, ServiceName, Target},
    pipeline::Unfinished,
    state::Phase,
    version::Version,
};

use super::{
    Surroundings,
    args::{Cli, Where},
    exit,
    next::command,
    output::Output,
    progress::say,
    setup::{self, Setup},
};

/// What is known of an environment.
#[derive(Debug, Serialize)]
struct Status {
    target: Target,
    release: Option<ReleaseId>,
    serving: String,
    services: BTreeMap<ServiceName, Running>,
    holder: Option<Holder>,
    unfinished: Option<Open>,
    /// The command that goes on from here.
    next: Option<String>,
    /// The command in place of `next` where a person has to choose: it goes back.
    or: Option<String>,
    /// Why the platform does not answer; then the release is the one of the last record.
    unreachable: Option<Failure>,
}

/// A run that is not over.
#[derive(Debug, Serialize)]
struct Open {
    run: RunId,
    phase: String,
    stuck: bool,
    held: bool,
    /// When a held run goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    /// The version that a held run goes back to; nothing when it was the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_to: Option<Version>,
    /// Whether data has begun to be put back and has not come to its end: it is of different times.
    half_restored: bool,
    /// Why it failed, and why going back did, where it is stuck.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
}

pub(super) async fn run(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, at, around).await?;
    // Who looks keeps the deadline of a held run; what comes of that is in what is looked at next.
    if let Some(run) = setup.pipeline.overdue().await? {
        say(&format!("run {} was held and its time is over; going back", run.id()));
        setup.drive(run).await?;
    }
    let holder = setup.state.lease.holder(&setup.state.target).await?;
    let open = setup.pipeline.unfinished().await?.as_ref().map(Open::of);
    // What the journal knows is told also when the platform is down.
    let seen = setup.deployer.current(&setup.pipeline.look()).await;
    let code = match &seen {
        _ if open.as_ref().is_some_and(|open| open.stuck) => exit::STUCK,
        Err(error) => exit::of_error(error),
        Ok(_) if open.as_ref().is_some_and(|open| open.held) => exit::HELD,
        Ok(_) => exit::OK,
    };
    let is_to_choose = holder.is_none() && open.as_ref().is_some_and(|open| open.held);
    let next = next(open.as_ref(), holder.as_ref()).map(|name| command(name, cli, at));
    let or = is_to_choose.then(|| command("rollback", cli, at));
    let status = Status { next, or, ..Status::new(&setup, holder, open, seen).await? };
    output.result(&status);
    Ok(code)
}

impl Status {
    async fn new(
        setup: &Setup,
        holder: Option<Holder>,
        unfinished: Option<Open>,
        seen: Result<Current, Error>,
    ) -> Result<Self> {
        let (release, serving, services, unreachable) = match seen {
            Ok(current) => {
                let (release, serving) = serving(setup, &current.serving).await;
                (release, serving, current.services, None)
            }
            Err(error) => {
                let release = setup.state.releases.current().await?;
                let serving = match &release {
                    Some(id) => format!("{} by the last record", named(setup, id).await),
                    None => "nothing by the last record".to_owned(),
                };
                (release, serving, BTreeMap::new(), Some(Failure::from(&error)))
            }
        };
        let target = setup.state.target.clone();
        Ok(Self {
            target,
            release,
            serving,
            services,
            holder,
            unfinished,
            next: None,
            or: None,
            unreachable,
        })
    }
}

/// The command that goes on from here.
fn next(unfinished: Option<&Open>, holder: Option<&Holder>) -> Option<&'static str> {
    match (unfinished, holder) {
        (Some(_), Some(_)) => Some("cancel"),
        (Some(open), None) if open.stuck => Some("resume --retry"),
        (Some(open), None) if open.held => Some("resume --proceed"),
        (Some(_), None) => Some("resume"),
        (None, _) => None,
    }
}

async fn serving(setup: &Setup, serving: &Serving) -> (Option<ReleaseId>, String) {
    match serving {
        Serving::Nothing => (None, "nothing is deployed".to_owned()),
        Serving::Release(id) => (Some(id.clone()), named(setup, id).await),
        Serving::Unmanaged(release) => {
            (None, format!("{}, not deployed by this tool", release.version))
        }
        _ => (None, "unknown".to_owned()),
    }
}

async fn named(setup: &Setup, id: &ReleaseId) -> String {
    match setup.state.releases.get(id).await {
        Ok(release) => format!("{} (release {id})", release.version),
        Err(_) => format!("release {id}, which is not in the store"),
    }
}

impl Open {
    fn of(found: &Unfinished) -> Self {
        let causes = match found.state.ending() {
            Some(Ending::Stuck { cause, undo }) => {
                vec![cause.to_string(), format!("going back failed: {undo}")]
            }
            _ => match found.state.phase() {
                Phase::Held { cause, .. } => vec![cause.to_string()],
                _ => Vec::new(),
            },
        };
        Self {
            run: found.run.clone(),
            phase: found.state.phase().describe(),
            stuck: found.is_stuck(),
            held: found.held_until().is_some(),
            held_until: found.held_until(),
            back_to: found
                .held_until()
                .and_then(|_| found.state.baseline())
                .and_then(|before| before.version.clone()),
            half_restored: found.state.is_data_half_restored(),
            causes,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.target, self.serving)?;
        if let Some(why) = &self.unreachable {
            writeln!(f, "  what runs cannot be seen: {why}")?;
        }
        for (name, running) in &self.services {
            let mark = if running.up { "up" } else { "DOWN" };
            let addresses = running.addresses.join(" ");
            let line = format!("  {name:<20} {mark:<5} {} {addresses}", running.status);
            writeln!(f, "{}", line.trim_end())?;
        }
        match (&self.unfinished, &self.holder) {
            (Some(open), Some(holder)) => {
                writeln!(f, "run {} is {}: {holder}", open.run, open.phase)?;
            }
            (Some(open), None) if open.stuck => {
                writeln!(f, "run {} is stuck: {}", open.run, open.causes.join("\n  "))?;
            }
            (Some(open), None) if open.held => {
                writeln!(f, "run {} is {}: {}", open.run, open.phase, open.causes.join("\n  "))?;
                let back = match &open.back_to {
                    Some(version) => format!("goes back to {version}, which is kept"),
                    None => "removes it: it is the first".to_owned(),
                };
                writeln!(f, "It serves until then; the next status, resume or deploy after it")?;
                writeln!(f, "{back}. Decide before that:")?;
                let choices = [("accept it", &self.next), ("go back", &self.or)];
                for (what, choice) in choices {
                    writeln!(f, "  {what:<10} {}", choice.as_deref().unwrap_or_default())?;
                }
                return Ok(());
            }
            (Some(open), None) => {
                writeln!(f, "run {} was left unfinished, {}", open.run, open.phase)?;
            }
            (None, Some(holder)) => writeln!(f, "locked by {holder}")?,
            (None, None) => {}
        }
        if self.holder.is_none() && self.unfinished.as_ref().is_some_and(|open| open.half_restored)
        {
            writeln!(f, "Data is HALF RESTORED: some of it may be of another time than the rest.")?;
        }
        if let Some(next) = &self.next {
            writeln!(f, "next: {next}")?;
        }
        Ok(())
    }
}
