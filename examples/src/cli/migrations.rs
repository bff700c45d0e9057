//! `ultrai migrations`: what became of each, and what a person says of one.

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use ultrai_deploy_core::{
    Result,
    migration::{Ledger, Migration, Status},
    name::RunId,
    version::Version,
};

use super::{
    Surroundings,
    args::{self, Cli},
    exit,
    next::{command, quoted},
    output::Output,
    setup,
    waiting::outwait,
};

/// A migration that is declared, or that was begun once.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    status: Status,
    /// Nothing for one that deploy.toml does not declare any more.
    reversible: Option<bool>,
    run: Option<&'a RunId>,
    version: Option<&'a Version>,
    at: Option<Timestamp>,
    /// Who marked it.
    user: Option<&'a str>,
}

pub(super) async fn run(
    cli: &Cli,
    args: &args::Migrations,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let declared = setup::migrations(cli, &args.at)?;
    let setup = setup::look(cli, &args.at, around).await?;
    let mut ledger = setup.pipeline.migrations().await?;
    if let Some((name, status)) = args.mark.as_deref().map(mark).transpose()? {
        let is_known =
            ledger.migrations.contains_key(name) || declared.iter().any(|one| one.name == name);
        if !is_known {
            let known: Vec<_> = lines(&declared, &ledger).iter().map(|line| line.name).collect();
            let known = if known.is_empty() { "there is none".into() } else { known.join(", ") };
            return Err(setup::invalid(&format!("there is no migration `{name}`"))
                .with_advice(format!("known: {known}")));
        }
        outwait(&setup, around).await?;
        ledger = setup.pipeline.mark_migration(name, status).await?;
    }
    let lines = lines(&declared, &ledger);
    let mut text = String::new();
    for line in &lines {
        let _infallible = writeln!(text, "{}", told(line));
    }
    if lines.is_empty() {
        let _infallible = writeln!(text, "no migrations in {}", setup.state.target);
    }
    for line in lines.iter().filter(|line| line.status == Status::Unknown) {
        let mark = command("migrations", cli, &args.at);
        let name = line.name;
        let _infallible = writeln!(
            text,
            "nobody knows whether {name} took effect: look at the data, then run\n  {mark} --mark \
             {}\n  or, to have the next deploy run it,\n  {mark} --mark {}",
            quoted(&format!("{name}=applied")),
            quoted(&format!("{name}=pending")),
        );
    }
    output.either(&text, &json!({ "target": setup.state.target, "migrations": lines }));
    Ok(exit::OK)
}

/// Those that are declared, in their order; then those that were.
fn lines<'a>(declared: &'a [Migration], ledger: &'a Ledger) -> Vec<Line<'a>> {
    let is_declared = |name: &str| declared.iter().any(|one| one.name == name);
    let former = ledger.migrations.keys().map(String::as_str).filter(|name| !is_declared(name));
    let names = declared.iter().map(|one| (one.name.as_str(), Some(one.reversible)));
    let line = |(name, reversible): (&'a str, Option<bool>)| {
        let entry = ledger.migrations.get(name);
        Line {
            name,
            status: ledger.status(name),
            reversible,
            run: entry.and_then(|entry| entry.run.as_ref()),
            version: entry.and_then(|entry| entry.version.as_ref()),
            at: entry.map(|entry| entry.at),
            user: entry.and_then(|entry| entry.user.as_deref()),
        }
    };
    names.chain(former.map(|name| (name, None))).map(line).collect()
}

fn told(line: &Line<'_>) -> String {
    let mut text = format!("{:<8} {}", line.status.as_str(), line.name);
    if let Some(at) = line.at {
        let _infallible = write!(text, "  {at:.0}");
    }
    if let Some(version) = line.version {
        let _infallible = write!(text, "  {version}");
    }
    if let Some(run) = line.run {
        let _infallible = write!(text, "  run {run}");
    }
    if let Some(user) = line.user {
        let _infallible = write!(text, "  as {user} says");
    }
    match line.reversible {
        Some(true) => {}
        Some(false) => text.push_str("  (not reversible)"),
        None => text.push_str("  (not declared any more)"),
    }
    text
}

/// `NAME=applied` or `NAME=pending`; the name may have `=` in it.
fn mark(text: &str) -> Result<(&str, Status)> {
    match text.rsplit_once('=') {
        Some((name, "applied")) if !name.is_empty() => Ok((name, Status::Applied)),
        Some((name, "pending")) if !name.is_empty() => Ok((name, Status::Pending)),
        _ => Err(setup::invalid(&format!("--mark `{text}` does not say what became of which"))
            .with_advice("write --mark NAME=applied or --mark NAME=pending")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_name_and_a_word() {
        for (text, expected) in [
            ("001 users=applied", Some(("001 users", Status::Applied))),
            ("a=b=pending", Some(("a=b", Status::Pending))),
            ("a", None),
            ("=applied", None),
            ("a=unknown", None),
            ("a=Applied", None),
        ] {
            assert_eq!(mark(text).ok(), expected, "{text}");
        }
    }
}
