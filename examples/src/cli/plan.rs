//! What a deploy would change, shown and saved.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde::Serialize;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    history::Bad,
    journal::Skip,
    pipeline::DeployRequest,
    preview::{Preview, SavedPlan},
    stage::Stage,
};

use super::{
    Surroundings,
    args::{self, Cli},
    exit,
    next::{command, quoted_path},
    output::Output,
    progress::say,
    setup,
};

pub(super) async fn run(
    cli: &Cli,
    args: &args::Plan,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let mut setup = setup::deploy(cli, &args.at, around, args.tag.as_deref(), &args.set).await?;
    let Some(mut spec) = setup.spec.take() else { return Err(setup::invalid("nothing to plan")) };
    setup.push_to(args.registry.as_deref(), &mut spec)?;
    let mut request = DeployRequest::new(spec);
    request.allow_downgrade = args.allowances.allow_downgrade;
    request.allow_pre_release = args.allowances.allow_pre_release;
    if args.skip_build {
        request.skips.push(Skip { stage: Stage::Build, why: "--skip-build".to_owned() });
    }
    let preview = setup.pipeline.plan(&setup.pipeline.look(), &request).await?;
    if let Some(path) = &args.save {
        write(path, &preview.to_saved()?.to_text()).map_err(|source| {
            let message = format!("{} cannot be written", path.display());
            Error::new(ErrorKind::Invalid, "save the plan", message)
                .with_advice("name a file in a directory that exists and that you may write to")
                .without_effect()
                .with_source(source)
        })?;
        let apply = command("deploy", cli, &args.at);
        let file = quoted_path(path);
        say(&format!("saved to {}; apply it with `{apply} --plan {file}`", path.display()));
    }
    let refusal = match &preview.release {
        Some(release) => setup.pipeline.refusal(release).await?,
        None => None,
    };
    output.result(&Shown { preview, refusal });
    Ok(exit::OK)
}

/// A plan, and what speaks against it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    preview: Preview,
    /// Why it is deployed only with `--allow-failed`.
    refusal: Option<Bad>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.preview)?;
        if let Some(Bad { run, cause, .. }) = &self.refusal {
            let version = &self.preview.version;
            writeln!(f, "a deploy is refused without --allow-failed {version}:")?;
            writeln!(f, "run {run} took this release back: {cause}")?;
        }
        Ok(())
    }
}

/// Reads a saved plan.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a file that is missing or no plan that can be applied.
pub(super) fn read(path: &Path) -> Result<SavedPlan> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        invalid(path, "cannot be read")
            .with_advice("name a file that `ultrai plan --save` wrote")
            .with_source(source)
    })?;
    SavedPlan::read(&text).map_err(|source| invalid(path, "cannot be applied").with_source(source))
}

fn invalid(path: &Path, what: &str) -> Error {
    let message = format!("{} {what}", path.display());
    Error::new(ErrorKind::Invalid, "read the plan", message).without_effect()
}

/// Its configuration is for the eyes of whoever deploys.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
