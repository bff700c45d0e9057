//! The command line.

mod backup;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::backup::{BackupCommand, BackupCreate, BackupPrune, BackupRestore, BackupVerify};

/// Longest wait for another run, in seconds: a year.
const MOST_WAIT: u64 = 366 * 24 * 3600;

/// Deploys that you can kill at any instant and still trust.
#[derive(Debug, Parser)]
#[command(name = "ultrai", version, arg_required_else_help = true)]
pub struct Cli {
    /// How results are printed on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The configuration file; `deploy.toml` beside the compose file when there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where state is kept; beats `state` in the configuration.
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole thing in some seconds: deploy, upgrade, a broken version rolled back.
    Quickstart,
    /// Show what a deploy would change, without changing anything.
    Plan(Plan),
    /// Deploy a version.
    Deploy(Deploy),
    /// Show, check, compare and document what environments are configured with.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Deploy what is proven in one environment to another one, without building anything.
    Promote(Promote),
    /// Return to a release that was proven before, or take back a run that is held or unfinished.
    Rollback(Rollback),
    /// Take, list, read back, put back and remove backups.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Run all checks of what is deployed.
    Verify(Where),
    /// Watch what is deployed with all its checks and rules, and take it back when it gets sick.
    Watch(Watch),
    /// Go through the checklist for a deploy, without deploying anything.
    Preflight(Preflight),
    /// Tell what runs and what to do next; a held run whose time is over is taken back.
    Status(Where),
    /// List past runs, newest first.
    History(History),
    /// Tell what became of migrations, or say it of one of which nobody knows.
    Migrations(Migrations),
    /// Finish or undo a run that was left unfinished, or accept one that is held.
    Resume(Resume),
    /// Stop a run or take a held one back; what it changed is rolled back.
    Cancel(Where),
    /// Close a stuck, held or unfinished run without touching anything.
    Abandon(Abandon),
    /// The demonstration application, run by `quickstart`.
    #[command(hide = true)]
    DemoApp,
}

/// Where to do it.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The environment: development, staging, production, or one of deploy.toml.
    #[arg(long, short = 'e', value_name = "E")]
    pub environment: String,
    /// The compose file, or its directory; the working directory when left out.
    #[arg(long, value_name = "F")]
    pub compose: Option<PathBuf>,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Where to.
    #[command(flatten)]
    pub at: Where,
    /// The version: a semantic version, a leading v allowed; VERSION in the compose file.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Set a variable of the configuration over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Plan with the images that were built before, in place of images that are built anew.
    #[arg(long)]
    pub skip_build: bool,
    /// Which versions may be deployed all the same.
    #[command(flatten)]
    pub allowances: Allowances,
    /// Push built images to this registry, in place of the one in the configuration.
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// Write the plan to a file, for `ultrai deploy --plan`.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Options of `deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// Where to.
    #[command(flatten)]
    pub at: Where,
    /// The version: a semantic version, a leading v allowed; VERSION in the compose file.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Apply exactly this plan, saved by `ultrai plan --save`, or change nothing when anything has
    /// changed since it was made.
    #[arg(long, value_name = "FILE", conflicts_with = "skip_build")]
    pub plan: Option<PathBuf>,
    /// Set a variable of the configuration over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Run no pre- and post-deploy tests.
    #[arg(long)]
    pub skip_tests: bool,
    /// Build no images.
    #[arg(long)]
    pub skip_build: bool,
    /// Push built images to this registry, in place of the one in the configuration.
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// Exit with 5 when an earlier run is unfinished, in place of finishing it first.
    #[arg(long)]
    pub no_resume: bool,
    /// Wait at most so many seconds for another run to end.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MOST_WAIT))]
    pub wait: Option<u64>,
    /// Deploy this version although it failed and was rolled back.
    #[arg(long, value_name = "VERSION")]
    pub allow_failed: Option<String>,
    /// Which versions may be deployed all the same.
    #[command(flatten)]
    pub allowances: Allowances,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// For how long, such as 30m; until it is interrupted when left out.
    #[arg(long, value_name = "TIME")]
    pub r#for: Option<String>,
    /// Only tell; never go back.
    #[arg(long)]
    pub no_rollback: bool,
}

/// Options of `preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    /// Where to.
    #[command(flatten)]
    pub at: Where,
    /// The version: a semantic version, a leading v allowed; VERSION in the compose file.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Set a variable of the configuration over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every variable of an environment, where it comes from, and what it hides; secrets are
    /// not shown.
    Show(ConfigShow),
    /// Check environments, all when none is named, without deploying anything.
    Check(ConfigCheck),
    /// Compare two environments as files and secret sources have them.
    Diff(ConfigDiff),
    /// Print a reference of all declared variables in Markdown.
    Docs(ConfigDocs),
}

/// Options of `config show`.
#[derive(Debug, Args)]
pub struct ConfigShow {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// The version that VERSION stands for.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Set a variable over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Options of `config check`.
#[derive(Debug, Args)]
pub struct ConfigCheck {
    /// Only this environment.
    #[arg(long, short = 'e', value_name = "E")]
    pub environment: Option<String>,
    /// The compose file, or its directory; the working directory when left out.
    #[arg(long, value_name = "F")]
    pub compose: Option<PathBuf>,
    /// The version that VERSION stands for.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Set a variable over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Options of `config diff`.
#[derive(Debug, Args)]
pub struct ConfigDiff {
    /// An environment.
    #[arg(value_name = "A")]
    pub first: String,
    /// Another one.
    #[arg(value_name = "B")]
    pub second: String,
    /// The compose file, or its directory; the working directory when left out.
    #[arg(long, value_name = "F")]
    pub compose: Option<PathBuf>,
}

/// Options of `config docs`.
#[derive(Debug, Args)]
pub struct ConfigDocs {
    /// The compose file, or its directory; the working directory when left out.
    #[arg(long, value_name = "F")]
    pub compose: Option<PathBuf>,
}

/// Versions that are deployed although the rules speak against them.
#[derive(Clone, Copy, Debug, Args)]
pub struct Allowances {
    /// Deploy a version that is lower than what serves.
    #[arg(long)]
    pub allow_downgrade: bool,
    /// Deploy a pre-release where the environment wants none.
    #[arg(long)]
    pub allow_pre_release: bool,
}

/// Options of `promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The environment where the release is proven.
    #[arg(long, value_name = "E")]
    pub from: String,
    /// The environment that it is deployed to.
    #[arg(long, value_name = "E")]
    pub to: String,
    /// The compose file, or its directory; the working directory when left out.
    #[arg(long, value_name = "F")]
    pub compose: Option<PathBuf>,
    /// The version, which has to be proven there; when left out, the one that serves there.
    #[arg(long, value_name = "V")]
    pub tag: Option<String>,
    /// Set a variable of the configuration over all other layers; not a secret.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Run no pre- and post-deploy tests.
    #[arg(long)]
    pub skip_tests: bool,
    /// Exit with 5 when an earlier run is unfinished, in place of finishing it first.
    #[arg(long)]
    pub no_resume: bool,
    /// Wait at most so many seconds for another run to end.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MOST_WAIT))]
    pub wait: Option<u64>,
    /// Deploy this version although it failed and was rolled back.
    #[arg(long, value_name = "VERSION")]
    pub allow_failed: Option<String>,
    /// Which versions may be deployed all the same.
    #[command(flatten)]
    pub allowances: Allowances,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

impl Promote {
    /// One of the two environments.
    pub fn at(&self, environment: &str) -> Where {
        Where { environment: environment.to_owned(), compose: self.compose.clone() }
    }
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// The version to return to, or the id of one of its releases; when left out, what served
    /// before a run that is held or unfinished, else the last proven release before this one.
    #[arg(long, value_name = "VERSION|ID", conflicts_with = "backup")]
    pub to: Option<String>,
    /// The backup to return to.
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,
    /// Bring back the data, too, of this backup or of the newest one of the release: what was written
    /// since is only in the backup that is taken before. The policy `data = "restore"` does the same.
    #[arg(long, conflicts_with = "without_data")]
    pub with_data: bool,
    /// Leave the data as they are, whatever the policy says.
    #[arg(long)]
    pub without_data: bool,
    /// Return to this version although it failed and was rolled back.
    #[arg(long, value_name = "VERSION")]
    pub allow_failed: Option<String>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Only runs of this version.
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// Only runs of this release.
    #[arg(long, value_name = "ID")]
    pub release: Option<String>,
    /// Only runs that came out so.
    #[arg(long, value_name = "O", value_enum)]
    pub outcome: Option<Outcome>,
    /// Only runs that began at this time or later: 2026-01-31, 2026-01-31T12:00:00Z, or a duration
    /// before now such as 7d. Without a zone it is UTC.
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Only runs that began before this time.
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// At most so many, the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Options of `migrations`.
#[derive(Debug, Args)]
pub struct Migrations {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Say of a migration that it took effect, or that it did not and the next deploy runs it:
    /// NAME=applied or NAME=pending.
    #[arg(long, value_name = "NAME=STATUS")]
    pub mark: Option<String>,
}

/// How a run came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// All checks passed.
    Succeeded,
    /// The environment was not touched.
    Refused,
    /// What served before serves again.
    RolledBack,
    /// Going back failed.
    Stuck,
    /// Closed by a person.
    Abandoned,
    /// A newer run took its place.
    Superseded,
    /// It is under way, held, or its process died.
    Unfinished,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Try again to roll back a stuck run.
    #[arg(long)]
    pub retry: bool,
    /// Accept a held release although it failed, and go on.
    #[arg(long, conflicts_with = "retry")]
    pub proceed: bool,
}

/// Options of `abandon`.
#[derive(Debug, Args)]
pub struct Abandon {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Why, for the history.
    #[arg(long, value_name = "R")]
    pub reason: String,
}

impl Command {
    /// Where the command works, if it works on one environment.
    pub fn at(&self) -> Option<&Where> {
        match self {
            Self::Config(ConfigCommand::Show(show)) => Some(&show.at),
            Self::Quickstart | Self::DemoApp | Self::Config(_) | Self::Promote(_) => None,
            Self::Plan(plan) => Some(&plan.at),
            Self::Deploy(deploy) => Some(&deploy.at),
            Self::Watch(watch) => Some(&watch.at),
            Self::Preflight(preflight) => Some(&preflight.at),
            Self::Rollback(rollback) => Some(&rollback.at),
            Self::History(history) => Some(&history.at),
            Self::Migrations(migrations) => Some(&migrations.at),
            Self::Resume(resume) => Some(&resume.at),
            Self::Abandon(abandon) => Some(&abandon.at),
            Self::Backup(backup) => Some(backup.at()),
            Self::Verify(at) | Self::Status(at) | Self::Cancel(at) => Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::exit;

    const README: &str = include_str!("../../../README.md");

    #[test]
    fn every_command_and_option_is_in_the_readme() {
        let cli = Cli::command();
        for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
            let begin = format!("| `{}` |", command.get_name());
            let line = README.lines().find(|line| line.starts_with(&begin));
            let line = line.unwrap_or_else(|| panic!("{begin}"));
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let place =
                    if ["environment", "compose"].contains(&option) { README } else { line };
                assert!(place.contains(&format!("--{option}")), "{begin}: --{option}");
            }
        }
        for option in cli.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(README.contains(&format!("--{option}")), "--{option}");
        }
    }

    #[test]
    fn every_exit_code_is_in_the_readme() {
        let codes = [
            exit::OK,
            exit::REFUSED,
            exit::USAGE,
            exit::ROLLED_BACK,
            exit::STUCK,
            exit::LOCKED,
            exit::HELD,
            exit::CANCELLED,
        ];
        for code in codes {
            assert!(README.lines().any(|line| line.starts_with(&format!("| {code} |"))), "{code}");
        }
    }
}
