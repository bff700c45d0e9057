//! `ultrai watch`: watches what serves, and takes it back when it gets sick.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    consequence::Severity,
    name::Target,
    pipeline::{CheckOutcome, Told, WatchRequest, Watched, Watcher},
};
use ultrai_deploy_notify::Notice;

use super::{
    Surroundings,
    args::{self, Cli},
    exit,
    notices::Notices,
    output::Output,
    progress::say,
    setup,
};
use crate::config::duration;

/// Says what is seen, and tells the receivers.
#[derive(Debug)]
struct Teller<'a> {
    target: &'a Target,
    notices: &'a Notices,
}

impl Watcher for Teller<'_> {
    fn told(&self, told: &Told) {
        let now = Timestamp::now();
        say(&match told {
            Told::Alert(outcome) => {
                let why = outcome.why.as_deref().unwrap_or("it did not pass");
                let (check, severity) = (&outcome.check, outcome.severity);
                self.notices.tell(Notice::alert(self.target.clone(), check, severity, why, now));
                format!("{now:.0} {}: check {check}: {why}", severity.as_str())
            }
            Told::Recovered { check } => {
                let (target, severity) = (self.target.clone(), Severity::Minor);
                self.notices.tell(Notice::recovered(target, check, severity, now));
                format!("{now:.0} well again: check {check}")
            }
            Told::Boxed { within, why } => {
                let minutes = within.as_secs_f64() / 60.0;
                format!("{now:.0} it goes back in {minutes:.0} min unless it is mended: {why}")
            }
            Told::Unboxed => format!("{now:.0} mended in time"),
            Told::GoingBack { to, why, .. } => format!("{now:.0} going back to {to}: {why}"),
            _ => return,
        });
    }
}

pub(super) async fn run(
    cli: &Cli,
    args: &args::Watch,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let window = args.r#for.as_deref().map(parse).transpose()?;
    let setup = setup::look(cli, &args.at, around).await?;
    let request = WatchRequest { window, acts: !args.no_rollback, ..WatchRequest::default() };
    let teller = Teller { target: &setup.state.target, notices: &setup.notices };
    let watch = async {
        let watching = setup.pipeline.watch(&request, &teller);
        let mut watching = std::pin::pin!(watching);
        tokio::select! {
            watched = &mut watching => return watched,
            () = stopped() => request.cancel.cancel(),
        }
        watching.await
    };
    let watched = setup.notices.beside(&*setup.state.journal, watch).await?;
    Ok(tell(&watched, &setup.state.target, *output))
}

fn parse(text: &str) -> Result<std::time::Duration> {
    duration::parse(text).map_err(|remedy| {
        let message = format!("`{text}` is no duration");
        Error::new(ErrorKind::Invalid, "watch", message).with_advice(remedy).without_effect()
    })
}

/// Until somebody asks it to stop. Where signals cannot be received the default ends the process,
/// which loses nothing.
async fn stopped() {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    if let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        std::future::pending::<()>().await;
    }
}

fn tell(watched: &Watched, target: &Target, output: Output) -> u8 {
    let (text, value, code) = match watched {
        Watched::Over(outcomes) => {
            let unwell = outcomes.iter().any(CheckOutcome::is_against);
            let code = if unwell { exit::REFUSED } else { exit::OK };
            let mut text = format!("{target} was watched to the end\n");
            list(&mut text, outcomes);
            (text, json!({ "ended": "over", "failing": outcomes }), code)
        }
        Watched::Replaced { by } => {
            let now = by.as_ref().map_or("no release".to_owned(), ToString::to_string);
            (format!("{now} serves now\n"), json!({ "ended": "replaced", "by": by }), exit::OK)
        }
        Watched::WentBack(report) => {
            output.result(report);
            // What was watched was taken back, whatever the run that did it says of itself.
            let code = exit::of_report(report);
            return if code == exit::OK { exit::ROLLED_BACK } else { code };
        }
        Watched::Unwell { outcomes, refusal } => {
            let why = refusal.as_deref().unwrap_or("it was not to act");
            let mut text = format!("{target} is not well, and was not taken back: {why}\n");
            list(&mut text, outcomes);
            let value = json!({ "ended": "unwell", "refusal": refusal, "failing": outcomes });
            (text, value, exit::REFUSED)
        }
        other => (format!("{other:?}"), json!({ "ended": format!("{other:?}") }), exit::REFUSED),
    };
    output.either(&text, &value);
    code
}

fn list(text: &mut String, outcomes: &[CheckOutcome]) {
    for outcome in outcomes {
        let why = outcome.why.as_deref().unwrap_or("it did not pass");
        let severity = outcome.severity.as_str();
        let _infallible = writeln!(text, "  {severity}: check {}: {why}", outcome.check);
    }
}
