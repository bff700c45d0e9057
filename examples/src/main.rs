//! The `ultrai` program.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use ultrai_deploy_core::{journal::Initiator, redact::RedactingWriter};
use ultrai_deploy_examples::cli::{self, Surroundings, args::Cli};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(|| RedactingWriter::new(std::io::stderr(), cli::redactor()))
        .with_env_filter(EnvFilter::try_from_env("ULTRAI_LOG").unwrap_or_else(|_| "warn".into()))
        .init();
    ExitCode::from(cli::run(cli, &surroundings()).await)
}

fn surroundings() -> Surroundings {
    // A variable that is no UTF-8 can be no variable of a compose file.
    let env: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = env.get("SUDO_USER").or_else(|| env.get("USER")).or_else(|| env.get("LOGNAME"));
    let uid = rustix::process::getuid();
    let user = user.cloned().unwrap_or_else(|| format!("uid {}", uid.as_raw()));
    let initiator = Initiator { user, host, process: std::process::id(), reason: None };
    Surroundings { env, initiator, is_root: uid.is_root() }
}
