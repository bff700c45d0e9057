//! Commands that are told to be run next, as they would be typed.

use std::{fmt::Write, path::Path};

use super::args::{Cli, Where};

/// A command on the same environment: what was said to find it is said again.
pub(super) fn command(name: &str, cli: &Cli, at: &Where) -> String {
    let mut text = format!("ultrai {name} --environment {}", quoted(&at.environment));
    for (flag, path) in
        [("--compose", &at.compose), ("--config", &cli.config), ("--state", &cli.state)]
    {
        if let Some(path) = path {
            let _infallible = write!(text, " {flag} {}", quoted_path(path));
        }
    }
    text
}

pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// As one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn next_of(words: &[&str]) -> String {
        let cli = Cli::parse_from(words);
        let at = cli.command.at().unwrap();
        command("resume --retry", &cli, at)
    }

    #[test]
    fn the_next_command_says_where_as_this_one_did() {
        assert_eq!(
            next_of(&["ultrai", "status", "-e", "staging"]),
            "ultrai resume --retry --environment staging"
        );
        assert_eq!(
            next_of(&[
                "ultrai",
                "--state",
                "/var/lib/x",
                "status",
                "-e",
                "staging",
                "--config",
                "my deploy.toml",
                "--compose",
                "it's/$here.yml",
            ]),
            r"ultrai resume --retry --environment staging --compose 'it'\''s/$here.yml' --config 'my deploy.toml' --state /var/lib/x"
        );
    }

    #[test]
    fn the_next_command_is_another_command_on_the_same_environment() {
        let said = next_of(&["ultrai", "status", "-e", "prod", "--state", "a", "--compose", "b"]);
        let again = Cli::parse_from(said.split(' '));
        assert!(matches!(&again.command, super::super::args::Command::Resume(args) if args.retry));
        assert_eq!(again.state.as_deref(), Some(Path::new("a")));
        assert_eq!(again.command.at().unwrap().compose.as_deref(), Some(Path::new("b")));
    }

    #[test]
    fn a_word_of_a_shell() {
        assert_eq!(quoted("a-b_c/d.yml"), "a-b_c/d.yml");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~/x"), "'~/x'");
        assert_eq!(quoted("a\nb"), "'a\nb'");
    }
}
