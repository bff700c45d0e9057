//! `ultrai config`: what an environment is configured with, and whether that is right.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use serde_json::json;
use ultrai_deploy_config::{
    Configuration, Difference, Layers, Problem, Row, Side, diff, parity, reference,
};
use ultrai_deploy_core::{
    Chain, Error, ErrorKind, Result, name::EnvironmentName, version::Version,
};

use super::{
    Surroundings,
    args::{self, Cli, ConfigCommand},
    exit,
    output::Output,
    setup::{self, variables::Given},
};
use crate::config::Config;

/// The environment that releases are proven in, and the one that they are proven for.
const PROVING: [&str; 2] = ["staging", "production"];

pub(super) async fn run(
    cli: &Cli,
    command: &ConfigCommand,
    around: &Surroundings,
    output: Output,
) -> Result<u8> {
    match command {
        ConfigCommand::Show(args) => show(cli, args, around, output).await,
        ConfigCommand::Check(args) => check(cli, args, around, output).await,
        ConfigCommand::Diff(args) => compare(cli, args, around, output).await,
        ConfigCommand::Docs(args) => docs(cli, args, output),
    }
}

async fn show(
    cli: &Cli,
    args: &args::ConfigShow,
    around: &Surroundings,
    output: Output,
) -> Result<u8> {
    let config = setup::read_config(cli, args.at.compose.as_deref())?;
    let name = EnvironmentName::new(args.at.environment.as_str())?;
    let version = args.tag.as_deref().map(Version::parse).transpose()?;
    let given = Given {
        set: &args.set,
        version: version.as_ref().or(config.version.as_ref()),
        compose: args.at.compose.as_deref(),
    };
    let (layers, failed) = given.layers(&config, &name, around, true).await?;
    let resolved = resolve(&config, &layers, failed.as_ref());
    let shown = match &resolved {
        Ok(configuration) => configuration.clone(),
        Err(_) => layers.glance(&config.declaration),
    };
    let rows = shown.rows(&config.declaration);
    match resolved {
        Ok(_) => {
            let value = json!({ "environment": name, "variables": rows });
            output.either(&table(&rows), &value);
            Ok(exit::OK)
        }
        Err(problems) => {
            let value = json!({ "environment": name, "variables": rows, "problems": problems });
            let text = table(&rows) + "\n" + &problems.join("\n");
            output.either(&text, &value);
            Ok(exit::USAGE)
        }
    }
}

/// What comes out, or all that is wrong with it, a line each. A source of secrets that could not tell
/// is one problem, and not one for each secret.
fn resolve(
    config: &Config,
    layers: &Layers,
    failed: Option<&Error>,
) -> Result<Configuration, Vec<String>> {
    let resolved = layers.resolve(&config.declaration);
    let Some(failed) = failed else {
        return resolved.map_err(|problems| problems.0.iter().map(ToString::to_string).collect());
    };
    let is_of_secret = |problem: &&Problem| config.declaration.is_secret(&problem.name);
    let others = resolved.err().map(|problems| problems.0).unwrap_or_default();
    let others = others.iter().filter(|problem| !is_of_secret(problem)).map(ToString::to_string);
    Err(std::iter::once(Chain(failed).to_string()).chain(others).collect())
}

/// One line for each variable, and one for each layer that it hides.
fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no variables".to_owned();
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let value = match &row.value {
            None => "(not set)".to_owned(),
            Some(value) if value.is_empty() => "(empty)".to_owned(),
            Some(value) => one_line(value),
        };
        let origin = row.origin.as_deref().map(|origin| format!("  [{origin}]"));
        let _infallible =
            writeln!(text, "{:width$}  {value}{}", row.name, origin.unwrap_or_default());
        for shadowed in &row.shadowed {
            let _infallible = writeln!(text, "{:width$}    hides {shadowed}", "");
        }
    }
    text
}

/// A value of several lines, or with control characters, on one line.
fn one_line(value: &str) -> String {
    if value.contains(char::is_control) { format!("{value:?}") } else { value.to_owned() }
}

async fn check(
    cli: &Cli,
    args: &args::ConfigCheck,
    around: &Surroundings,
    output: Output,
) -> Result<u8> {
    let config = setup::read_config(cli, args.compose.as_deref())?;
    let version = args.tag.as_deref().map(Version::parse).transpose()?;
    let names: Vec<EnvironmentName> = match &args.environment {
        Some(name) => vec![EnvironmentName::new(name.as_str())?],
        None => config.environments.keys().cloned().collect(),
    };
    let given = Given {
        set: &args.set,
        version: version.as_ref().or(config.version.as_ref()),
        compose: args.compose.as_deref(),
    };
    let (mut text, mut found) = (String::new(), BTreeMap::new());
    let mut wrong = 0;
    for name in &names {
        let (layers, failed) = given.layers(&config, name, around, false).await?;
        let (problems, warnings) = match resolve(&config, &layers, failed.as_ref()) {
            Ok(configuration) => (Vec::new(), configuration.warnings),
            Err(problems) => (problems, Vec::new()),
        };
        wrong += problems.len();
        let word = match problems.len() {
            0 => "ok".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        let _infallible = writeln!(text, "{name}: {word}");
        for line in &problems {
            let _infallible = writeln!(text, "  {line}");
        }
        for line in &warnings {
            let _infallible = writeln!(text, "  warning: {line}");
        }
        found.insert(name, json!({ "problems": problems, "warnings": warnings }));
    }
    let is_wanted = |name: &str| names.iter().any(|known| known.as_str() == name);
    let warnings = if is_wanted(PROVING[1]) {
        proving(&config, args.compose.as_deref(), around).await?
    } else {
        Vec::new()
    };
    for warning in &warnings {
        let _infallible = writeln!(text, "warning: {warning}");
    }
    let value = json!({ "environments": found, "parity": warnings });
    output.either(&text, &value);
    Ok(if wrong == 0 { exit::OK } else { exit::USAGE })
}

/// What should not be between staging and production, where both are configured here.
async fn proving(
    config: &Config,
    compose: Option<&Path>,
    around: &Surroundings,
) -> Result<Vec<String>> {
    let mut sides = Vec::new();
    for name in PROVING {
        let name = EnvironmentName::new(name)?;
        let Some(environment) = config.environments.get(&name) else { return Ok(Vec::new()) };
        let files =
            ["env.", ".env."].map(|prefix| config.directory().join(format!("{prefix}{name}")));
        let is_configured = environment.variables().next().is_some()
            || environment.env_files().next().is_some()
            || files.iter().any(|file| file.exists());
        if !is_configured {
            return Ok(Vec::new());
        }
        match of_environment(config, &name, compose, around).await {
            Ok(side) => sides.push(side),
            // It is among the problems of the environment.
            Err(_) => return Ok(vec![format!("{name} could not be compared with the other one")]),
        }
    }
    Ok(match sides.as_slice() {
        [proving, real] => parity(proving, real),
        _ => Vec::new(),
    })
}

/// What is configured for an environment, without what belongs to this call: variables of the
/// process and the command line.
async fn of_environment(
    config: &Config,
    name: &EnvironmentName,
    compose: Option<&Path>,
    around: &Surroundings,
) -> Result<Configuration> {
    config.environment(name)?;
    let given = Given { compose, ..Given::default() };
    let (layers, failed) = given.layers(config, name, around, true).await?;
    match failed {
        Some(failed) => Err(failed),
        None => Ok(layers.with_process(BTreeMap::new()).glance(&config.declaration)),
    }
}

async fn compare(
    cli: &Cli,
    args: &args::ConfigDiff,
    around: &Surroundings,
    output: Output,
) -> Result<u8> {
    let config = setup::read_config(cli, args.compose.as_deref())?;
    let compose = args.compose.as_deref();
    let [first, second] =
        [&args.first, &args.second].map(|name| EnvironmentName::new(name.as_str()));
    let (first, second) = (first?, second?);
    let a = of_environment(&config, &first, compose, around).await?;
    let b = of_environment(&config, &second, compose, around).await?;
    let differences = diff(&a, &b);
    let mut text = String::new();
    for Difference { name, first: a, second: b } in &differences {
        let _infallible = writeln!(text, "{name}");
        for (environment, side) in [(&first, a), (&second, b)] {
            let _infallible = match side {
                None => writeln!(text, "  {environment}: (not set)"),
                Some(Side { value, origin }) => {
                    writeln!(text, "  {environment}: {}  [{origin}]", one_line(value))
                }
            };
        }
    }
    if differences.is_empty() {
        text = format!("{first} and {second} are configured alike");
    }
    let value = json!({ "first": first, "second": second, "differences": differences });
    output.either(&text, &value);
    Ok(exit::OK)
}

fn docs(cli: &Cli, args: &args::ConfigDocs, output: Output) -> Result<u8> {
    let config = setup::read_config(cli, args.compose.as_deref())?;
    if !config.declaration.is_complete() {
        let message = format!("{} declares no variables", config.file.display());
        return Err(Error::new(ErrorKind::Invalid, "write the reference", message)
            .with_advice("write [variables.NAME] for each, with type and description")
            .without_effect());
    }
    let project = config.project.as_ref().map_or("this application", |project| project.as_str());
    let text = reference::markdown(&config.declaration, project);
    output.either(&text, &json!({ "markdown": text }));
    Ok(exit::OK)
}
