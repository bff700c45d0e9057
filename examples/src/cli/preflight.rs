//! `ultrai preflight`: goes through the checklist without deploying anything.

use std::fmt::Write;

use serde_json::json;
use ultrai_deploy_core::{Result, pipeline::Prepared};

use super::{
    Surroundings,
    args::{self, Cli},
    exit,
    output::Output,
    setup,
};

pub(super) async fn run(
    cli: &Cli,
    args: &args::Preflight,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    let setup = setup::deploy(cli, &args.at, around, args.tag.as_deref(), &args.set).await?;
    let cx = setup.pipeline.look();
    if let Some(spec) = &setup.spec {
        setup.deployer.preflight(&cx, spec).await?;
    }
    let prepared = setup.pipeline.prepare(&cx, setup.spec.as_ref()).await?;
    let ready = !prepared.iter().any(Prepared::refuses);
    let mut text = String::new();
    for item in &prepared {
        let _infallible = writeln!(text, "{item}");
    }
    let target = &setup.state.target;
    let word = if ready { "ready" } else { "NOT ready" };
    let _infallible = writeln!(text, "{target}: {word} for a deploy");
    output.either(&text, &json!({ "target": target, "ready": ready, "checklist": prepared }));
    Ok(if ready { exit::OK } else { exit::REFUSED })
}
