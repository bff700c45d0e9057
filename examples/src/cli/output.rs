//! Results on standard output: text for people, or one JSON document.

use std::{fmt::Display, io::Write};

use serde::Serialize;
use serde_json::json;
use ultrai_deploy_core::{Chain, Error};

use super::{
    args::Format,
    progress::{redactor, say},
};

/// Prints results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints a result in the form that was asked for.
    pub(super) fn result<T: Display + Serialize>(self, result: &T) {
        match self.format {
            Format::Text => print(&result.to_string()),
            Format::Json => Self::json(result),
        }
    }

    /// Prints a text for people, or a value as JSON.
    pub(super) fn either<T: Serialize>(self, text: &str, value: &T) {
        match self.format {
            Format::Text => print(text),
            Format::Json => Self::json(value),
        }
    }

    /// Prints an error: to standard error for people, as the JSON document otherwise.
    pub(super) fn error(self, error: &Error) {
        match self.format {
            Format::Text => {
                say(&format!("error: {}", Chain(error)));
                for evidence in error.evidence() {
                    say(&format!("  {}:", evidence.subject));
                    for line in evidence.text.lines() {
                        say(&format!("    {line}"));
                    }
                }
            }
            Format::Json => {
                let failure = ultrai_deploy_core::error::Failure::from(error);
                Self::json(&json!({ "error": failure, "exit_code": super::exit::of_error(error) }));
            }
        }
    }

    fn json<T: Serialize>(value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => print(&text),
            Err(error) => say(&format!("error: the result has no JSON form: {error}")),
        }
    }
}

/// Writes to standard output, without the secrets that are known: a source that fails may say what
/// it should not. That nobody reads it must not change what was done.
fn print(text: &str) {
    let _closed = writeln!(std::io::stdout(), "{}", redactor().text(text.trim_end()));
}
