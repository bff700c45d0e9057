//! A reference of all variables, made from their declarations.

use std::fmt::Write;

use crate::{
    declaration::{Declaration, Required, Variable},
    kind::Limits,
    suggest,
};

/// A Markdown document with a table of all variables, in the order of their names.
pub fn markdown(declaration: &Declaration, project: &str) -> String {
    let mut text = format!("# Configuration of {project}\n\n");
    text.push_str(
        "| variable | type | required | default | description | example |\n\
         |---|---|---|---|---|---|\n",
    );
    for (name, variable) in &declaration.variables {
        let cells = [
            format!("`{name}`"),
            kind(variable),
            required(variable),
            code(variable.default.as_deref()),
            escaped(variable.description.as_deref().unwrap_or("")),
            code(variable.example.as_deref()),
        ];
        let _infallible = writeln!(text, "| {} |", cells.join(" | "));
    }
    let secrets = declaration.variables.values().filter(|variable| variable.secret).count();
    if secrets > 0 {
        text.push_str(
            "\nSecrets are given in `.env.api_keys`, in a secret source, or as variables of the \
             process that deploys; never in this table or in the configuration file.\n",
        );
    }
    text
}

fn kind(variable: &Variable) -> String {
    let Limits { values, minimum, maximum, min_length } = &variable.limits;
    let mut text = variable.kind.to_string();
    if variable.secret {
        text.insert_str(0, "secret ");
    }
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(|value| code(Some(value))).collect();
        let _infallible = write!(text, ": {}", suggest::one_of(values.iter().map(String::as_str)));
    }
    let _infallible = match (minimum, maximum) {
        (Some(least), Some(most)) => write!(text, ", {least} to {most}"),
        (Some(least), None) => write!(text, ", at least {least}"),
        (None, Some(most)) => write!(text, ", at most {most}"),
        (None, None) => Ok(()),
    };
    if let Some(least) = min_length {
        let _infallible = write!(text, ", at least {least} characters");
    }
    text
}

fn required(variable: &Variable) -> String {
    if variable.default.is_some() {
        return "no".to_owned();
    }
    match &variable.required {
        Required::Everywhere => "yes".to_owned(),
        Required::Nowhere => "no".to_owned(),
        Required::In(names) => format!("in {}", names.join(", ")),
    }
}

/// A text as code in a cell of a table; nothing for none.
fn code(text: Option<&str>) -> String {
    match text {
        None => String::new(),
        Some("") => "empty".to_owned(),
        // A backtick ends code, so what has one gets longer quotes.
        Some(text) if text.contains('`') => format!("`` {} ``", escaped(text)),
        Some(text) => format!("`{}`", escaped(text)),
    }
}

/// A text in a cell of a table: one line, no cell's end.
fn escaped(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn every_variable_has_a_row() {
        let level = Variable {
            limits: Limits { values: vec!["debug".into(), "info".into()], ..Limits::default() },
            default: Some("info".into()),
            description: Some("How much is logged | or\nnot.".into()),
            ..Variable::default()
        };
        let port = Variable {
            kind: Kind::Port,
            required: Required::In(vec!["staging".into(), "production".into()]),
            example: Some("8085".into()),
            ..Variable::default()
        };
        let key = Variable {
            limits: Limits { min_length: Some(32), ..Limits::default() },
            ..Variable::secret()
        };
        let declaration = Declaration::default()
            .with("LOG_LEVEL", level)
            .with("PORT", port)
            .with("JWT_SECRET", key);
        let text = markdown(&declaration, "shop");
        for line in [
            "# Configuration of shop",
            "| `JWT_SECRET` | secret text, at least 32 characters | yes |  |  |  |",
            "| `LOG_LEVEL` | text: `debug` or `info` | no | `info` | How much is logged \\| or not. |  |",
            "| `PORT` | port | in staging, production |  |  | `8085` |",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(text.contains(".env.api_keys"));
        assert!(!markdown(&Declaration::default(), "shop").contains(".env.api_keys"));
    }
}
