//! `ultrai history`: what was asked for, and the list.

use std::fmt::Write;

use jiff::{Timestamp, civil, tz::Offset};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    ending::Ending,
    history::{Entry, Outcome, Query},
    journal::Kind,
    name::{ReleaseId, SecretName},
    version::Version,
};

use super::{
    Surroundings,
    args::{self, Cli},
    exit,
    output::Output,
    setup,
};
use crate::config;

pub(super) async fn history(
    cli: &Cli,
    args: &args::History,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let query = query(args, Timestamp::now())?;
    let setup = setup::look(cli, &args.at, around).await?;
    let entries = setup.pipeline.history(&query).await?;
    let text = match (entries.is_empty(), query == Query::default()) {
        (true, true) => format!("no runs in {} yet", setup.state.target),
        (true, false) => format!("no such runs in {}", setup.state.target),
        (false, _) => entries.iter().map(line).collect(),
    };
    output.either(&text, &entries);
    let is_whole = entries.iter().all(|entry| entry.damage.is_none());
    Ok(if is_whole { exit::OK } else { exit::REFUSED })
}

fn line(entry: &Entry) -> String {
    let mut line = String::new();
    if let Some(damage) = &entry.damage {
        let _infallible = writeln!(line, "DAMAGED  {}  {damage}", entry.run);
        return line;
    }
    let started = entry.started.map(|at| format!("{at:.0}")).unwrap_or_default();
    let version = entry.version.as_ref().map_or("-", |version| version.as_str());
    let release = entry.release.as_ref().map_or("-", |release| release.as_str());
    let ending = match (&entry.ending, entry.held_until) {
        (Some(Ending::Superseded { by }), _) => format!("superseded by {}", by.short()),
        (Some(ending), _) => ending.as_str().to_owned(),
        (None, Some(until)) => format!("held until {until:.0}"),
        (None, None) => "unfinished".to_owned(),
    };
    let user = entry.user.as_deref().unwrap_or("-");
    let from = match &entry.kind {
        Some(Kind::Promotion { from, .. }) => format!("from {from} "),
        _ => String::new(),
    };
    let reason = entry.reason.as_deref().unwrap_or("");
    let secrets: Vec<_> = entry.secrets_changed.iter().map(SecretName::as_str).collect();
    let secrets = match &secrets[..] {
        [] => String::new(),
        names => format!("  new value of {}", names.join(", ")),
    };
    let _infallible = writeln!(
        line,
        "{started}  {version:<12} {release:<16} {ending:<26} {user} {from}{reason}  {}{secrets}",
        entry.run
    );
    line
}

fn query(args: &args::History, now: Timestamp) -> Result<Query> {
    let since = args.since.as_deref().map(|text| time("--since", text, now)).transpose()?;
    let until = args.until.as_deref().map(|text| time("--until", text, now)).transpose()?;
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        let message = format!("--since {since:.0} is not before --until {until:.0}");
        return Err(Error::new(ErrorKind::Invalid, "read the history", message)
            .with_advice("exchange them; of two durations before now the longer one is earlier")
            .without_effect());
    }
    Ok(Query {
        version: args.version.as_deref().map(Version::parse).transpose()?,
        release: args.release.as_deref().map(ReleaseId::new).transpose()?,
        outcome: args.outcome.map(outcome),
        since,
        until,
        limit: args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    })
}

fn outcome(asked: args::Outcome) -> Outcome {
    match asked {
        args::Outcome::Succeeded => Outcome::Succeeded,
        args::Outcome::Refused => Outcome::Refused,
        args::Outcome::RolledBack => Outcome::RolledBack,
        args::Outcome::Stuck => Outcome::Stuck,
        args::Outcome::Abandoned => Outcome::Abandoned,
        args::Outcome::Superseded => Outcome::Superseded,
        args::Outcome::Unfinished => Outcome::Unfinished,
    }
}

/// A time with zone, a date or time in UTC, or a duration before now.
fn time(option: &str, text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date alone is a time at midnight.
    if let Ok(at) = text.parse::<civil::DateTime>()
        && let Ok(at) = Offset::UTC.to_timestamp(at)
    {
        return Ok(at);
    }
    if let Ok(ago) = config::duration::parse(text)
        && let Ok(at) = now.checked_sub(ago)
    {
        return Ok(at);
    }
    let message = format!("{option} `{text}` is no time");
    Err(Error::new(ErrorKind::Invalid, "read the history", message)
        .with_advice("write 2026-01-31, 2026-01-31T12:00:00Z, or a duration before now such as 7d")
        .without_effect())
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::Chain;

    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now: Timestamp = "2026-02-08T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T12:30:00", "2026-01-31T12:30:00Z"),
            ("2026-01-31T12:30:00+02:00", "2026-01-31T10:30:00Z"),
            ("7d", "2026-02-01T12:00:00Z"),
            ("1h30m", "2026-02-08T10:30:00Z"),
        ] {
            assert_eq!(time("--since", text, now).unwrap().to_string(), expected, "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "7"] {
            let error = time("--until", bad, now).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(Chain(&error).to_string().contains("--until"), "{bad}");
        }
    }
}
