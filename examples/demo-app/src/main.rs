//! The demo application as a program: its environment is its configuration.

use std::process::ExitCode;

use ultrai_demo_app::{Config, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program's last words")]
            {
                eprintln!("demo-app: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn std::error::Error>> {
    #[expect(clippy::disallowed_methods, reason = "this is the program that reads it once")]
    let vars: Vec<(String, String)> = std::env::vars().collect();
    // What the image was built as; the container's own environment comes after it and wins.
    let baked = match vars.iter().find(|(name, _)| name == "RELEASE_FILE") {
        Some((_, path)) => std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?,
        None => String::new(),
    };
    let baked = baked
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    run(Config::from_vars(baked.chain(vars))?).await?;
    Ok(())
}
