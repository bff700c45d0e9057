//! The commands that work on an environment.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::json;
use ultrai_deploy_core::{
    Ending, Error, ErrorKind, Result,
    backup::{Backup, Selection},
    health::Verdict,
    journal::Skip,
    lease::Wait,
    name::{BackupId, ReleaseId},
    pipeline::{DataPolicy, DeployRequest, OnUnfinished, RollbackRequest},
    stage::Stage,
    version::Version,
};

use super::{
    Surroundings,
    args::{self, Cli, Where},
    backup, exit,
    output::Output,
    plan,
    progress::say,
    setup::{self, Setup},
    waiting,
};

pub(super) async fn deploy(
    cli: &Cli,
    args: &args::Deploy,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let saved = args.plan.as_deref().map(plan::read).transpose()?;
    let planned = saved.as_ref().map(|plan| plan.version().as_str());
    let tag = args.tag.as_deref().or(planned);
    let mut setup = setup::deploy(cli, &args.at, around, tag, &args.set).await?;
    let Some(mut spec) = setup.spec.take() else { return Err(setup::invalid("nothing to deploy")) };
    setup.push_to(args.registry.as_deref(), &mut spec)?;
    let allow_failed = allowed(args.allow_failed.as_deref(), Some(&spec.version))?;
    let mut request = DeployRequest::new(spec);
    if let Some(plan) = saved {
        request = request.with_plan(plan);
    }
    let mut skip = |stage, why: &str| request.skips.push(Skip { stage, why: why.to_owned() });
    if args.skip_tests {
        skip(Stage::PreDeployTests, "--skip-tests");
        skip(Stage::PostDeployTests, "--skip-tests");
    }
    if args.skip_build {
        skip(Stage::Build, "--skip-build");
    }
    request.reason.clone_from(&args.reason);
    request.allow_failed = allow_failed;
    let (wait, no_resume) = (args.wait, args.no_resume);
    drive(request, &setup, args.allowances, wait, no_resume, output).await
}

/// Drives a deploy or a promotion to its end.
pub(super) async fn drive(
    mut request: DeployRequest,
    setup: &Setup,
    allowances: args::Allowances,
    wait: Option<u64>,
    no_resume: bool,
    output: &Output,
) -> Result<u8> {
    request.allow_downgrade = allowances.allow_downgrade;
    request.allow_pre_release = allowances.allow_pre_release;
    request.wait = waiting::wait(wait, setup).await;
    if no_resume {
        request.unfinished = OnUnfinished::Refuse;
    }
    let report = setup.drive(setup.pipeline.deploy(request)).await?;
    output.result(&report);
    Ok(exit::of_report(&report))
}

pub(super) async fn rollback(
    cli: &Cli,
    args: &args::Rollback,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let asked = args.to.as_deref().map(Returned::parse).transpose()?;
    let version = match &asked {
        Some(Returned::Version(version)) => Some(version),
        Some(Returned::Release(_)) | None => None,
    };
    let allow_failed = allowed(args.allow_failed.as_deref(), version)?;
    let setup = setup::look(cli, &args.at, around).await?;
    waiting::outwait(&setup, around).await?;
    let backup = match &args.backup {
        Some(id) => {
            let id = BackupId::new(id.as_str())?;
            Some(backup::find(&setup, &setup.state.target, &id).await?)
        }
        None => None,
    };
    let to = if let Some(backup) = &backup {
        release_of_backup(&setup, backup).await?
    } else if let Some(asked) = asked {
        asked.find(&setup).await?
    } else if let Some(code) = undo_unfinished(&setup, output).await? {
        return Ok(code);
    } else {
        setup.pipeline.release_before(&setup.pipeline.look()).await?
    };
    let comes_back = setup.policy.data == DataPolicy::Restore || args.with_data;
    let data = if comes_back && !args.without_data {
        data(&setup, backup.as_ref(), &to, args.with_data).await?
    } else {
        None
    };
    let mut request = RollbackRequest::new(to);
    request.data = data;
    request.reason.clone_from(&args.reason);
    request.allow_failed = allow_failed;
    request.wait = waiting::wait(None, &setup).await;
    let report = setup.drive(setup.pipeline.rollback(request)).await?;
    output.result(&report);
    Ok(exit::of_report(&report))
}

/// What `--to` names.
enum Returned {
    Version(Version),
    /// One of several releases of a version: with new secrets, the same version is another release.
    Release(ReleaseId),
}

impl Returned {
    fn parse(text: &str) -> Result<Self> {
        let is_id = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id {
            return Ok(Self::Release(ReleaseId::new(text)?));
        }
        Ok(Self::Version(Version::parse(text)?))
    }

    /// The proven release that is meant.
    async fn find(self, setup: &Setup) -> Result<ReleaseId> {
        match self {
            Self::Version(version) => setup.pipeline.release_of_version(&version).await,
            Self::Release(id) if setup.pipeline.proven().await?.contains(&id) => Ok(id),
            Self::Release(id) => {
                let message = format!("release {id} was never proven in {}", setup.state.target);
                Err(invalid(&message).with_advice("`ultrai history` lists those that were"))
            }
        }
    }
}

/// The version of `--allow-failed`, which is the one that is asked for where that is known already.
pub(super) fn allowed(named: Option<&str>, asked: Option<&Version>) -> Result<Option<Version>> {
    let Some(named) = named.map(Version::parse).transpose()? else { return Ok(None) };
    if let Some(asked) = asked.filter(|asked| **asked != named) {
        return Err(invalid(&format!("--allow-failed names {named}, and {asked} is asked for"))
            .with_advice(format!("write --allow-failed {asked}, or leave it out")));
    }
    Ok(Some(named))
}

/// Going back from a deploy that was left half-way is undoing it: what served before it serves
/// again. Nothing when there is none, or when it has a living driver or its old release is gone.
async fn undo_unfinished(setup: &Setup, output: &Output) -> Result<Option<u8>> {
    let Some(found) = setup.pipeline.unfinished().await? else { return Ok(None) };
    let is_driven = setup.state.lease.holder(&setup.state.target).await?.is_some();
    if is_driven || found.is_stuck() || found.state.is_past_return() {
        return Ok(None);
    }
    let Some(run) = setup.pipeline.resume(false, Wait::No).await? else { return Ok(None) };
    let how = if found.held_until().is_some() { "is held" } else { "was left unfinished" };
    say(&format!("run {} {how}; going back from it", found.run));
    run.cancel().cancel();
    let report = setup.drive(run).await?;
    output.result(&report);
    Ok(Some(match &report.ending {
        Some(Ending::RolledBack { .. } | Ending::Refused { .. }) => exit::OK,
        _ => exit::of_report(&report),
    }))
}

/// The release that a backup was taken of; brought back from it when it was pruned.
async fn release_of_backup(setup: &Setup, backup: &Backup) -> Result<ReleaseId> {
    let Some(release) = backup.request.release.clone() else {
        let id = &backup.request.id;
        return Err(invalid(&format!("backup {id} is of an environment where nothing ran")));
    };
    backup::bring_release(setup, backup, &release).await?;
    Ok(release)
}

/// The data that comes back with a rollback: of the backup that is returned to, or of the newest one of
/// the release.
async fn data(
    setup: &Setup,
    backup: Option<&Backup>,
    to: &ReleaseId,
    is_asked: bool,
) -> Result<Option<Selection>> {
    let target = &setup.state.target;
    let (id, parts) = if let Some(backup) = backup {
        backup::check_taken(setup, backup)?;
        (backup.request.id.clone(), setup.pipeline.data_of(backup))
    } else {
        let Some(found) = setup.pipeline.newest_data(to).await? else {
            if !is_asked {
                return Ok(None);
            }
            return Err(invalid(&format!("no backup has data of release {to}"))
                .with_advice("leave --with-data out, or name a backup with --backup"));
        };
        found
    };
    if parts.is_empty() {
        if is_asked {
            return Err(invalid(&format!("backup {id} has no data")).with_advice(
                "leave --with-data out; `[[data]]` in deploy.toml says what is kept",
            ));
        }
        return Ok(None);
    }
    Ok(Some(Selection { from: target.clone(), backup: id, parts }))
}

pub(super) async fn verify(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, at, around).await?;
    let (release, proof) = setup.pipeline.verify(&setup.pipeline.look()).await?;
    let mut text = format!("{} {} ({})\n", setup.state.target, release.version, release.id);
    for outcome in &proof.outcomes {
        let mark = if outcome.verdict == Verdict::Pass { "ok" } else { "FAILED" };
        let _infallible = writeln!(text, "  {:<30} {mark} ({} ms)", outcome.check, outcome.millis);
        if outcome.verdict != Verdict::Pass {
            let _infallible =
                writeln!(text, "    {}", outcome.why.as_deref().unwrap_or("it did not pass"));
            for evidence in &outcome.evidence {
                for line in evidence.text.lines() {
                    let _infallible = writeln!(text, "    {} | {line}", evidence.subject);
                }
            }
        }
    }
    let passed = proof.passed();
    let value = json!({
        "target": setup.state.target,
        "release": release.id,
        "version": release.version,
        "passed": passed,
        "checks": proof.outcomes,
    });
    output.either(&text, &value);
    Ok(if passed { exit::OK } else { exit::REFUSED })
}

pub(super) async fn resume(
    cli: &Cli,
    args: &args::Resume,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    let found = setup.pipeline.unfinished().await?;
    let held = found.and_then(|found| Some((found.held_until()?, found.run)));
    if let (true, Some((_, run))) = (args.retry, &held) {
        return Err(invalid(&format!(
            "run {run} is held and not stuck: there is nothing to retry"
        ))
        .with_advice(
            "accept it with `ultrai resume --proceed`, or go back with `ultrai rollback`",
        ));
    }
    if let (true, Some((until, run))) = (args.proceed, &held)
        && *until <= Timestamp::now()
    {
        say(&format!("run {run} was held until {until:.0}; it is too late to accept it"));
    }
    if let (false, Some((until, run))) = (args.proceed, &held)
        && Timestamp::now() < *until
    {
        // A person decides; nothing is taken over for that.
        let report = setup.pipeline.report(run).await?;
        output.result(&report);
        return Ok(exit::of_report(&report));
    }
    let run = if args.proceed {
        Some(setup.pipeline.accept(waiting::wait(None, &setup).await).await?)
    } else {
        setup.pipeline.resume(args.retry, waiting::wait(None, &setup).await).await?
    };
    let Some(run) = run else {
        // What a killed backup left has no run.
        setup.pipeline.settle(waiting::wait(None, &setup).await).await?;
        let text = format!("no run of {} is unfinished", setup.state.target);
        output.either(&text, &json!({ "unfinished": null }));
        return Ok(exit::OK);
    };
    let report = setup.drive(run).await?;
    output.result(&report);
    Ok(exit::of_report(&report))
}

pub(super) async fn cancel(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, at, around).await?;
    let target = &setup.state.target;
    if let Some(holder) = setup.state.lease.holder(target).await? {
        if holder.host != around.initiator.host {
            return Err(invalid(&format!("the run is driven from elsewhere: {holder}"))
                .with_advice(
                    "run `ultrai cancel` there; where its process is gone, `ultrai rollback` here",
                ));
        }
        let driven = setup.pipeline.unfinished().await?;
        let is_asked =
            driven.is_some_and(|found| found.run == holder.run && found.state.is_cancelled());
        // A second signal would have it leave at once.
        let text = if is_asked {
            format!("{holder} was asked to stop before; what it changed is rolled back")
        } else {
            terminate(holder.process)?;
            format!("asked {holder} to stop; what it changed is rolled back")
        };
        output.either(&text, &json!({ "cancelled": holder.run }));
        return Ok(exit::OK);
    }
    let Some(run) = setup.pipeline.resume(false, Wait::No).await? else {
        let text = format!("no run of {target} is under way");
        output.either(&text, &json!({ "cancelled": null }));
        return Ok(exit::OK);
    };
    say("no process drives it; taking it over to undo it");
    run.cancel().cancel();
    let report = setup.drive(run).await?;
    output.result(&report);
    Ok(exit::of_report(&report))
}

/// Sends SIGTERM, the first of which cancels a run.
fn terminate(process: u32) -> Result<()> {
    let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return Err(invalid(&format!("{process} is no process id"))) };
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|source| {
        Error::new(ErrorKind::Denied, "cancel the run", format!("process {process} refuses"))
            .with_advice("run the command as the user who started it")
            .without_effect()
            .with_source(source)
    })
}

pub(super) async fn abandon(
    cli: &Cli,
    args: &args::Abandon,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    if setup.pipeline.unfinished().await?.is_some() {
        waiting::outwait(&setup, around).await?;
    }
    let run = setup.pipeline.abandon(&args.reason).await?;
    let text = format!(
        "run {run} is abandoned; nothing was touched. What runs now stays until the next deploy."
    );
    output.either(&text, &json!({ "abandoned": run }));
    Ok(exit::OK)
}

pub(super) fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "do that", message).without_effect()
}
