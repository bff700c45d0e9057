//! `ultrai backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{MOST_WAIT, Where};

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Take one now, and read it back.
    Create(BackupCreate),
    /// List them, newest first.
    List(Where),
    /// Read one back, or all of them, and compare them with what was written.
    Verify(BackupVerify),
    /// Put one back, or parts of it; a backup of what is there is taken before.
    Restore(BackupRestore),
    /// Remove those that the configuration does not keep and no rollback could need.
    Prune(BackupPrune),
}

impl BackupCommand {
    /// Where it works.
    pub fn at(&self) -> &Where {
        match self {
            Self::Create(create) => &create.at,
            Self::List(at) => at,
            Self::Verify(verify) => &verify.at,
            Self::Restore(restore) => &restore.at,
            Self::Prune(prune) => &prune.at,
        }
    }
}

/// Options of `backup create`.
#[derive(Debug, Args)]
pub struct BackupCreate {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Why, for the list.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Wait so long for a run that is at work.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MOST_WAIT))]
    pub wait: Option<u64>,
}

/// Options of `backup verify`.
#[derive(Debug, Args)]
pub struct BackupVerify {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// The backup; all when left out.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}

/// Options of `backup restore`.
#[derive(Debug, Args)]
pub struct BackupRestore {
    /// Where to.
    #[command(flatten)]
    pub at: Where,
    /// The backup.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Only data of this source, or this part of it; the release stays as it is. Can be repeated.
    #[arg(long = "part", value_name = "SOURCE[/PART]")]
    pub parts: Vec<String>,
    /// Data of a backup of another environment.
    #[arg(long, value_name = "E")]
    pub from: Option<String>,
    /// Data of a backup of another project.
    #[arg(long, value_name = "P")]
    pub from_project: Option<String>,
    /// Write the parts into files below this directory, and change nothing else.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Wait so long for a run that is at work.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MOST_WAIT))]
    pub wait: Option<u64>,
}

/// Options of `backup prune`.
#[derive(Debug, Args)]
pub struct BackupPrune {
    /// Where.
    #[command(flatten)]
    pub at: Where,
    /// Only tell what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait so long for a run that is at work.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MOST_WAIT))]
    pub wait: Option<u64>,
}
