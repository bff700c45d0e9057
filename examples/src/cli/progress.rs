//! Live progress on standard error, made from the records.

use std::{
    io::Write,
    sync::{LazyLock, Mutex},
};

use jiff::Timestamp;
use ultrai_deploy_core::{
    health::Verdict,
    journal::{Event, Record},
    name::RunId,
    observer::Observer,
    redact::{Redactor, SharedRedactor},
    secret::Secrets,
};

/// Prints what happens, a line each.
#[derive(Debug, Default)]
pub(super) struct Progress {
    began: Mutex<Option<Timestamp>>,
}

impl Observer for Progress {
    fn on_record(&self, _run: &RunId, record: &Record) {
        let Some(line) = describe(&record.event) else { return };
        let millis = {
            let Ok(mut began) = self.began.lock() else { return };
            let began = *began.get_or_insert(record.at);
            record.at.as_millisecond() - began.as_millisecond()
        };
        say(&format!("{:>4}.{:02}s  {line}", millis / 1000, millis.rem_euclid(1000) / 10));
    }

    fn on_output(&self, _run: &RunId, subject: &str, line: &str) {
        say(&format!("         {subject} | {line}"));
    }
}

/// The values that no line on standard error shows: whatever is written there has none in it
/// already, and this is the second line of defence.
static HIDDEN: LazyLock<SharedRedactor> = LazyLock::new(SharedRedactor::default);

/// What cuts the secrets of an environment, once it is set up, out of lines on standard error.
pub fn redactor() -> SharedRedactor {
    HIDDEN.clone()
}

/// From now on no line shows these.
pub(super) fn hide(secrets: &Secrets) {
    HIDDEN.extend(Redactor::new(secrets));
}

/// Writes a line to standard error. That nobody reads it must not end a deploy.
pub(super) fn say(line: &str) {
    let _closed = writeln!(std::io::stderr(), "{}", HIDDEN.text(line));
}

fn describe(event: &Event) -> Option<String> {
    Some(match event {
        Event::Created { target, version, .. } => {
            let version = version.as_ref().map_or("?", |version| version.as_str());
            format!("{target}: {version}")
        }
        Event::StageStarted { stage } => format!("{stage}"),
        Event::StageSkipped { stage, why } => format!("{stage}: skipped ({why})"),
        Event::StageFailed { stage, failure, .. } => format!("{stage} FAILED: {failure}"),
        Event::FailureIgnored { stage, failure } => format!("{stage} FAILED, ignored: {failure}"),
        Event::BackedUp { backup, parts, bytes, .. } => {
            format!("  backup {backup}: {parts} parts, {bytes} bytes, verified")
        }
        Event::DataRestoreStarted { what } => {
            format!("  putting data of backup {} back", what.backup)
        }
        Event::DataRestored { backup, parts, bytes } => {
            format!("  data of backup {backup} is back: {}, {bytes} bytes", parts.join(", "))
        }
        Event::DataRestoreFailed { failure } => format!("  data was not put back: {failure}"),
        Event::ImageResolved { service, image, built } => {
            let how = if *built { "built" } else { "found" };
            format!("  {service}: {how} {}", image.reference)
        }
        Event::Planned { plan } => {
            let lines: Vec<_> = plan.to_string().lines().map(|line| format!("  {line}")).collect();
            lines.join("\n         ")
        }
        Event::Effect { action, object, .. } => format!("  {action} {object}"),
        Event::EffectFailed { failure, .. } => format!("  failed: {failure}"),
        Event::Checked { check, verdict, millis, .. } => {
            let verdict = match verdict {
                Verdict::Pass => "ok",
                Verdict::Fail => "FAILED",
                Verdict::Error => "could not be asked",
                _ => "inconclusive",
            };
            format!("  check {check}: {verdict} ({millis} ms)")
        }
        Event::TaskEnded { task, exit_code, .. } => format!("  test {task}: exit code {exit_code}"),
        Event::Adopted { .. } => "took over an unfinished run".to_owned(),
        Event::Reconciled { step, observation } => {
            format!("  {step} of the run before: {observation:?}")
        }
        Event::CancelRequested { why } => format!("cancelled: {why}"),
        Event::RollbackDecided { to, data, .. } => match (to, data) {
            (Some(to), None) => format!("rolling back to {to}; data stays as it is"),
            (Some(to), Some(data)) => format!("rolling back to {to}, data to {}", data.backup),
            (None, _) => "removing the failed first deploy".to_owned(),
        },
        Event::Held { until, .. } => format!("held for a person until {until:.0}"),
        Event::HoldReleased { proceed: true, .. } => "accepted by a person".to_owned(),
        Event::HoldReleased { .. } => "not held any longer".to_owned(),
        Event::Inherited { from, .. } => format!("taking the place of the held run {from}"),
        Event::Note { message } => format!("  note: {message}"),
        Event::Ended { ending } => ending.as_str().to_owned(),
        _ => return None,
    })
}
