//! A command as the one line that a job takes, with a mark by which the job is found again.

use std::borrow::Cow;

use ultrai_deploy_core::{
    Error, ErrorKind, Result, context::Key, digest, name::RunId, verification::TaskSpec,
};

use crate::model::Job;

/// The variable that the mark is the value of.
const VARIABLE: &str = "ULTRAI_RUN";
/// How much of a digest tells the tests of a run apart.
const SHORT: usize = 16;

/// What stands in the command of a job: whose it is. A job has nothing else of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    /// That of one attempt at a test.
    pub(super) fn new(key: &Key, task: &TaskSpec) -> Self {
        let what = serde_json::json!([key.step, key.attempt, task.name, task.command]);
        let digest = digest::of_json(&what);
        Self(format!("{}{}", of_run(&key.run), digest.get(..SHORT).unwrap_or(&digest)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a job is that of this attempt.
    pub(super) fn is_on(&self, job: &Job) -> bool {
        job.start_command.contains(&self.0)
    }
}

/// What the marks of all tests of a run begin with.
pub(super) fn of_run(run: &RunId) -> String {
    format!("{VARIABLE}={run}/")
}

/// Fails for a command that cannot be handed over.
pub(super) fn check(command: &[String]) -> Result<()> {
    let why = match command.first() {
        None => "it is empty",
        // To `env` that would be a variable.
        Some(program) if program.contains('=') => "the name of its program holds `=`",
        Some(program) if program.is_empty() => "its program has no name",
        Some(_) if command.iter().any(|word| word.contains('\0')) => "it holds a NUL",
        Some(_) => return Ok(()),
    };
    let message = format!("the command cannot be run as a job: {why}");
    Err(Error::new(ErrorKind::Invalid, "run a task", message).without_effect())
}

/// The line: what splits it into words as a shell does gets the command as it is, and so does a
/// shell.
pub(super) fn of(mark: &Mark, command: &[String]) -> Result<String> {
    check(command)?;
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    Ok(format!("env {} {}", mark.as_str(), words.join(" ")))
}

fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn line(command: &[&str]) -> Result<String> {
        of(&Mark("ULTRAI_RUN=r/1".to_owned()), &words(command))
    }

    #[test]
    fn a_plain_command_stays_readable() {
        let line = line(&["npm", "run", "test:smoke", "--", "--url=https://a.b/c"]).unwrap();
        assert_eq!(line, "env ULTRAI_RUN=r/1 npm run test:smoke -- --url=https://a.b/c");
    }

    /// Through a real shell.
    #[test]
    fn arguments_arrive_as_they_are() {
        let odd = [
            "",
            " ",
            "a b",
            "it's",
            "''",
            "\"",
            "$HOME",
            "`id`",
            "$(id)",
            "a;b",
            "a&&b",
            "*",
            "~",
            "\\",
            "\\n",
            "line\nbreak",
            "tab\t",
            "#no",
            "!x",
            "{a,b}",
            "<x>",
            "|",
            "ä€",
            "-e",
            "--",
        ];
        let mut command = vec!["printf", "%s\u{1f}"];
        command.extend(odd);
        let line = line(&command).unwrap();
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let got = String::from_utf8(output.stdout).unwrap();
        let got: Vec<_> = got.split_terminator('\u{1f}').collect();
        assert_eq!(got, odd, "{line}");
    }

    #[test]
    fn what_cannot_be_handed_over_is_refused() {
        for bad in [&[][..], &[""], &["A=b"], &["a", "b\0"]] {
            assert_eq!(line(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }
}
