//! Promotion from one environment to another one.

use ultrai_deploy_core::{
    Result, journal::Skip, pipeline::DeployRequest, stage::Stage, version::Version,
};
use ultrai_deploy_hosted as hosted;

use super::{
    Surroundings,
    args::{self, Cli},
    commands,
    output::Output,
    progress::say,
    setup,
};

pub(super) async fn run(
    cli: &Cli,
    args: &args::Promote,
    around: &Surroundings,
    output: &Output,
) -> Result<u8> {
    if args.from == args.to {
        return Err(setup::invalid("a release is promoted to another environment")
            .with_advice("name two environments: --from staging --to production"));
    }
    let source = setup::look(cli, &args.at(&args.from), around).await?;
    let asked = args.tag.as_deref().map(Version::parse).transpose()?;
    let promotion = source.pipeline.promotion(asked.as_ref()).await?;
    let version = promotion.release().version.clone();
    say(&format!(
        "promoting {version} ({}), which run {} has proven in {}",
        promotion.release().id,
        promotion.run(),
        args.from
    ));
    let allow_failed = commands::allowed(args.allow_failed.as_deref(), Some(&version))?;
    let to = args.at(&args.to);
    let tag = Some(version.as_str());
    let mut setup = setup::deploy(cli, &to, around, tag, &args.set).await?;
    let Some(mut spec) = setup.spec.take() else { return Err(setup::invalid("nothing to deploy")) };
    if setup.is_hosted {
        hosted::promotion::pin(&promotion, &mut spec)?;
    }
    let mut request = DeployRequest::promote(promotion, spec)?;
    if args.skip_tests {
        for stage in [Stage::PreDeployTests, Stage::PostDeployTests] {
            request.skips.push(Skip { stage, why: "--skip-tests".to_owned() });
        }
    }
    request.reason.clone_from(&args.reason);
    request.allow_failed = allow_failed;
    let (wait, no_resume) = (args.wait, args.no_resume);
    commands::drive(request, &setup, args.allowances, wait, no_resume, output).await
}
