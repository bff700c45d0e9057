//! `ultrai backup`: taken, listed, read back, put back, removed.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use ultrai_deploy_core::{
    Chain, Context, Error, ErrorKind, Result,
    backup::{Backup, BackupSource, Content, PartStream, Selection},
    name::{BackupId, EnvironmentName, ProjectName, ReleaseId, Target},
    pipeline::RollbackRequest,
    release_backup::ReleaseSource,
};

use super::{
    Surroundings,
    args::{self, BackupCommand, Cli, Where},
    commands::invalid,
    exit,
    output::Output,
    setup::{self, Setup},
    waiting::wait,
};

pub(super) async fn run(
    cli: &Cli,
    command: &BackupCommand,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    match command {
        BackupCommand::Create(args) => create(cli, args, around, output).await,
        BackupCommand::List(at) => list(cli, at, around, output).await,
        BackupCommand::Verify(args) => verify(cli, args, around, output).await,
        BackupCommand::Restore(args) => restore(cli, args, around, output).await,
        BackupCommand::Prune(args) => prune(cli, args, around, output).await,
    }
}

async fn create(
    cli: &Cli,
    args: &args::BackupCreate,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    let reason = args.reason.as_deref().unwrap_or("on request");
    let backup = setup.pipeline.back_up(reason, wait(args.wait, &setup).await).await?;
    let text = format!("backup {}: {}, verified", backup.request.id, extent(&backup));
    output.either(&text, &backup);
    Ok(exit::OK)
}

async fn list(cli: &Cli, at: &Where, around: &Surroundings, output: &Output) -> Result<u8> {
    let setup = setup::look(cli, at, around).await?;
    let mut backups = setup.state.backups.list(&setup.state.target).await?;
    backups.reverse();
    let mut text = String::new();
    for backup in &backups {
        let _infallible = writeln!(text, "{}", line(backup));
    }
    if backups.is_empty() {
        text = format!("no backups of {} yet", setup.state.target);
    }
    output.either(&text, &backups);
    Ok(exit::OK)
}

fn line(backup: &Backup) -> String {
    let version = backup.request.version.as_ref().map_or("-", |version| version.as_str());
    let (id, reason) = (&backup.request.id, &backup.request.reason);
    format!("{id}  {version:<12} {:<28}  {reason}", extent(backup))
}

fn extent(backup: &Backup) -> String {
    let bytes: u64 = backup.parts.iter().map(|part| part.size).sum();
    format!("{} parts, {bytes} bytes", backup.parts.len())
}

async fn verify(
    cli: &Cli,
    args: &args::BackupVerify,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    let target = &setup.state.target;
    let ids = if let Some(id) = &args.id {
        vec![BackupId::new(id.as_str())?]
    } else {
        // Also of those that cannot be listed: they are as bad as can be.
        let mut ids = setup.state.backups.ids(target).await?;
        ids.reverse();
        ids
    };
    let (mut text, mut found, mut wrong) = (String::new(), Vec::new(), None);
    for id in &ids {
        let verified = setup.state.backups.verify(target, id).await;
        let why = verified.as_ref().err().map(|error| Chain(error).to_string());
        let word = why.as_ref().map_or_else(|| "whole".to_owned(), |why| format!("BAD: {why}"));
        let _infallible = writeln!(text, "{id}  {word}");
        found.push(json!({ "backup": id, "whole": why.is_none(), "why": why }));
        wrong = wrong.or(verified.err());
    }
    // One that was named and is not there is a mistake of whoever named it.
    if let (Some(_), Some(error)) = (&args.id, wrong.take_if(|e| e.kind() == ErrorKind::NotFound)) {
        return Err(error);
    }
    if ids.is_empty() {
        text = format!("no backups of {target} yet");
    }
    output.either(&text, &found);
    Ok(if wrong.is_some() { exit::REFUSED } else { exit::OK })
}

async fn prune(
    cli: &Cli,
    args: &args::BackupPrune,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    let gone = if args.dry_run {
        setup.pipeline.removable_backups().await?
    } else {
        setup.pipeline.prune_backups(wait(args.wait, &setup).await).await?
    };
    let word = if args.dry_run { "would be removed" } else { "removed" };
    let mut text = String::new();
    for backup in &gone {
        let _infallible = writeln!(text, "{word}: {}", line(backup));
    }
    if gone.is_empty() {
        text.push_str("nothing to remove");
    }
    output.either(&text, &json!({ "removed": gone, "dry_run": args.dry_run }));
    Ok(exit::OK)
}

async fn restore(
    cli: &Cli,
    args: &args::BackupRestore,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::look(cli, &args.at, around).await?;
    let from = origin(&setup, args)?;
    let id = BackupId::new(args.id.as_str())?;
    let backup = find(&setup, &from, &id).await?;
    let what = Selection { from: from.clone(), backup: id, parts: args.parts.clone() };
    check_parts(&backup, &what)?;
    if let Some(directory) = &args.to {
        return extract(&setup, &backup, &what, directory, output).await;
    }
    if args.parts.is_empty() {
        check_taken(&setup, &backup)?;
    }
    let current = setup.state.releases.current().await?;
    let is_own = from == setup.state.target;
    let to = match (&backup.request.release, current) {
        // The whole of it, the release included; a part is data for what serves.
        (Some(release), _) if is_own && args.parts.is_empty() => {
            bring_release(&setup, &backup, release).await?;
            release.clone()
        }
        (_, Some(current)) => current,
        (_, None) => {
            return Err(invalid(&format!("nothing is deployed in {}", setup.state.target))
                .with_advice("deploy a release first: its services are what takes the data"));
        }
    };
    let mut request = RollbackRequest::new(to);
    let parts =
        if args.parts.is_empty() { setup.pipeline.data_of(&backup) } else { args.parts.clone() };
    request.data = (!parts.is_empty()).then_some(Selection { parts, ..what });
    request.reason = Some(args.reason.clone().unwrap_or_else(|| format!("restore of {}", args.id)));
    request.wait = wait(args.wait, &setup).await;
    let report = setup.drive(setup.pipeline.rollback(request)).await?;
    output.result(&report);
    Ok(exit::of_report(&report))
}

/// The environment that the backup is of.
fn origin(setup: &Setup, args: &args::BackupRestore) -> Result<Target> {
    let mut from = setup.state.target.clone();
    if let Some(name) = &args.from {
        from.environment = EnvironmentName::new(name.as_str())?;
    }
    if let Some(name) = &args.from_project {
        from.project = ProjectName::new(name.as_str())?;
    }
    Ok(from)
}

/// A backup by its id; where there is none, the latest are named.
pub(super) async fn find(setup: &Setup, from: &Target, id: &BackupId) -> Result<Backup> {
    let mut backups = setup.state.backups.list(from).await?;
    if let Some(at) = backups.iter().position(|backup| backup.request.id == *id) {
        return Ok(backups.swap_remove(at));
    }
    let known: Vec<_> =
        backups.iter().rev().take(5).map(|backup| backup.request.id.as_str()).collect();
    let advice = if known.is_empty() {
        "there is none yet".to_owned()
    } else {
        format!("the latest are {}", known.join(", "))
    };
    Err(invalid(&format!("there is no backup {id} of {from}")).with_advice(advice))
}

/// A backup is never put back without parts of it that nobody was told of. Images are no data: with or
/// without them the rest is whole.
pub(super) fn check_taken(setup: &Setup, backup: &Backup) -> Result<()> {
    let mut untaken = setup.pipeline.untaken(backup);
    untaken.remove("images");
    if untaken.is_empty() {
        return Ok(());
    }
    let names = untaken.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("backup {} has data that nobody takes: {names}", backup.request.id);
    Err(invalid(&message).with_advice(
        "declare it in `[[data]]` under the name that it was backed up with, or name with \
         `ultrai backup restore --part` what shall come back",
    ))
}

fn check_parts(backup: &Backup, what: &Selection) -> Result<()> {
    for name in &what.parts {
        let one = Selection { parts: vec![name.clone()], ..what.clone() };
        if backup.parts.iter().any(|part| one.has(&part.source, &part.name)) {
            continue;
        }
        let known: BTreeSet<_> = backup.parts.iter().map(|part| part.source.as_str()).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(invalid(&format!("backup {} has no part {name}", what.backup))
            .with_advice(format!("it has parts of {}", known.join(", "))));
    }
    Ok(())
}

/// Makes sure that the store has the release of a backup.
pub(super) async fn bring_release(
    setup: &Setup,
    backup: &Backup,
    release: &ReleaseId,
) -> Result<()> {
    let id = &backup.request.id;
    setup.state.backups.verify(&backup.request.target, id).await?;
    match setup.state.releases.get(release).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let source = ReleaseSource::new(std::sync::Arc::clone(&setup.state.releases));
            let all = Selection::all(backup.request.target.clone(), id.clone());
            setup.state.backups.restore(&setup.pipeline.look(), &all, &source).await.map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Writes parts into files below a directory, for people.
async fn extract(
    setup: &Setup,
    backup: &Backup,
    what: &Selection,
    directory: &Path,
    output: &Output,
) -> Result<u8> {
    let cx = setup.pipeline.look();
    let sources: BTreeSet<_> = backup.parts.iter().map(|part| part.source.clone()).collect();
    let mut written = Vec::new();
    for name in sources {
        let files = Files { directory: directory.join(file_name(&name)), name };
        let parts = setup.state.backups.restore(&cx, what, &files).await?;
        written.extend(parts.into_iter().map(|part| files.path(&part.name)));
    }
    let mut text = String::new();
    for path in &written {
        let _infallible = writeln!(text, "{}", path.display());
    }
    output.either(&text, &json!({ "backup": what.backup, "files": written }));
    Ok(exit::OK)
}

/// Takes the parts of a source as files, readable by their owner only. Nothing that is there already is
/// written over.
#[derive(Debug)]
struct Files {
    name: String,
    directory: PathBuf,
}

impl Files {
    /// A part's name is data, and never leads anywhere.
    fn path(&self, part: &str) -> PathBuf {
        let mut path = self.directory.clone();
        path.extend(part.split('/').map(file_name));
        path
    }
}

/// A name that is one component of a path, whatever the text.
fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_control() || c == '/' || c == '\\' { '_' } else { c };
    let name: String = text.chars().map(safe).collect();
    if matches!(name.as_str(), "" | "." | "..") { name.replace('.', "_") + "_" } else { name }
}

#[async_trait]
impl BackupSource for Files {
    fn name(&self) -> &str {
        &self.name
    }

    fn content(&self) -> Content {
        Content::Evidence
    }

    fn holds_secrets(&self) -> bool {
        true
    }

    async fn parts(&self, _cx: &Context) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn read(&self, _cx: &Context, part: &str) -> Result<PartStream> {
        Err(Error::new(ErrorKind::Unsupported, "read a part", part.to_owned()).without_effect())
    }

    async fn restore(&self, _cx: &Context, part: &str, mut content: PartStream) -> Result<()> {
        let path = self.path(part);
        let write = async {
            if let Some(parent) = path.parent() {
                tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).await?;
            }
            let mut options = tokio::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path).await?;
            tokio::io::copy(&mut content, &mut file).await?;
            file.flush().await?;
            file.sync_all().await
        };
        write.await.map_err(|source| {
            let message = format!("{} cannot be written", path.display());
            Error::new(ErrorKind::Io, "write a part into a file", message)
                .with_advice("name an empty directory with room enough")
                .with_source(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_never_leads_out_of_its_directory() {
        let files = Files { name: "volumes".to_owned(), directory: "/to/volumes".into() };
        for (part, path) in [
            ("data", "/to/volumes/data"),
            ("file/abc/conf/a.txt", "/to/volumes/file/abc/conf/a.txt"),
            ("../../etc/passwd", "/to/volumes/___/___/etc/passwd"),
            ("/etc/passwd", "/to/volumes/_/etc/passwd"),
            (".", "/to/volumes/__"),
            ("", "/to/volumes/_"),
        ] {
            assert_eq!(files.path(part), Path::new(path), "{part}");
        }
    }
}
