//! The name of a project.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    field::Field,
    interpolate::interpolate,
    problem::{LoadError, Problem},
    variables::Variables,
};

/// The name that was given, else `COMPOSE_PROJECT_NAME`. It must be a name already.
pub(super) fn chosen(
    given: Option<&str>,
    variables: &Variables,
    file: &Arc<PathBuf>,
) -> Result<Option<String>, LoadError> {
    let of_variable = || variables.text("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let Some(given) = given.map(str::to_owned).or_else(of_variable) else { return Ok(None) };
    if given.is_empty() || normalise(&given) != given {
        let message = format!(
            "`{given}` is no project name; write lower-case letters, digits, - and _, \
             beginning with a letter or digit"
        );
        return Err(Problem::of_file(file, message).into());
    }
    Ok(Some(given))
}

/// The name that was [`chosen`], else `name:`, else the directory's. These are made into a name as
/// Compose does it.
pub(super) fn of_project(
    given: Option<&str>,
    variables: &Variables,
    root: &Field<'_>,
    directory: &Path,
) -> Result<String, LoadError> {
    if let Some(chosen) = chosen(given, variables, root.file)? {
        return Ok(chosen);
    }
    if let Some(field) = root.get("name") {
        let text = field.text()?;
        let lookup = |name: &str| variables.lookup(name);
        let written = interpolate(&text, &lookup, &mut |_| {})
            .map_err(|_| field.problem("its variables cannot be filled in"))?;
        let name = normalise(&written);
        // An empty name is as good as none.
        if !name.is_empty() {
            return Ok(name);
        }
        if !written.is_empty() {
            let message = format!("`{written}` gives no project name; use letters and digits");
            return Err(field.problem(message).into());
        }
    }
    let name = normalise(&directory.file_name().unwrap_or_default().to_string_lossy());
    if name.is_empty() {
        let message =
            "the directory gives no project name; write `name:`, or set COMPOSE_PROJECT_NAME";
        return Err(Problem::of_file(root.file, message).into());
    }
    Ok(name)
}

/// A project name out of any text, as Compose makes it.
fn normalise(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}
