//! The commands of `ultrai`.

pub mod args;
mod backup;
mod commands;
mod config;
pub mod exit;
mod history;
mod migrations;
mod next;
mod notices;
mod output;
mod plan;
mod preflight;
mod progress;
mod promote;
mod quickstart;
mod setup;
mod signal;
mod status;
mod waiting;
mod watch;

pub use self::progress::redactor;
use std::{collections::BTreeMap, fmt};

use ultrai_deploy_core::{Error, Result, journal::Initiator};

use self::{
    args::{Cli, Command},
    output::Output,
};

/// What the program was started with and in. `Debug` shows no values of variables: some are tokens.
#[derive(Clone)]
pub struct Surroundings {
    /// The variables of the process.
    pub env: BTreeMap<String, String>,
    /// Who is at work.
    pub initiator: Initiator,
    /// Whether the user is root, which decides where state is kept.
    pub is_root: bool,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("env", &self.env.keys())
            .field("initiator", &self.initiator)
            .field("is_root", &self.is_root)
            .finish()
    }
}

/// Runs a command to its end and gives the exit code.
pub async fn run(cli: Cli, around: &Surroundings) -> u8 {
    let output = Output::new(cli.format);
    match dispatch(&cli, around, &output).await {
        Ok(code) => code,
        Err(error) => {
            let error = redactor().current().error(error);
            output.error(&error);
            exit::of_error(&error)
        }
    }
}

async fn dispatch(cli: &Cli, around: &Surroundings, output: &Output) -> Result<u8> {
    match &cli.command {
        Command::Quickstart => quickstart::run(cli, around, output).await,
        Command::DemoApp => demo_app(around).await,
        Command::Plan(args) => plan::run(cli, args, around, output).await,
        Command::Deploy(args) => commands::deploy(cli, args, around, output).await,
        Command::Config(command) => config::run(cli, command, around, *output).await,
        Command::Promote(args) => promote::run(cli, args, around, output).await,
        Command::Rollback(args) => commands::rollback(cli, args, around, output).await,
        Command::Backup(command) => backup::run(cli, command, around, output).await,
        Command::Verify(at) => commands::verify(cli, at, around, output).await,
        Command::Watch(args) => watch::run(cli, args, around, output).await,
        Command::Preflight(args) => preflight::run(cli, args, around, output).await,
        Command::Status(at) => status::run(cli, at, around, output).await,
        Command::History(args) => history::history(cli, args, around, output).await,
        Command::Migrations(args) => migrations::run(cli, args, around, output).await,
        Command::Resume(args) => commands::resume(cli, args, around, output).await,
        Command::Cancel(at) => commands::cancel(cli, at, around, output).await,
        Command::Abandon(args) => commands::abandon(cli, args, around, output).await,
    }
}

async fn demo_app(around: &Surroundings) -> Result<u8> {
    let config = ultrai_demo_app::Config::from_vars(around.env.clone()).map_err(|source| {
        Error::new(
            ultrai_deploy_core::ErrorKind::Invalid,
            "start the demonstration application",
            "its environment is wrong",
        )
        .without_effect()
        .with_source(source)
    })?;
    ultrai_demo_app::run(config).await.map_err(|source| {
        Error::new(
            ultrai_deploy_core::ErrorKind::Io,
            "run the demonstration application",
            "it ended",
        )
        .with_source(source)
    })?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_not_shown() {
        let env = [("RENDER_API_KEY".to_owned(), "hunter2".to_owned())].into();
        let (user, host) = ("u".to_owned(), "h".to_owned());
        let initiator = Initiator { user, host, process: 1, reason: None };
        let shown = format!("{:?}", Surroundings { env, initiator, is_root: false });
        assert!(shown.contains("RENDER_API_KEY") && !shown.contains("hunter2"), "{shown}");
    }
}
