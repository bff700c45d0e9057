//! Finding and reading compose files.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::problem::{LoadError, Problem};

/// The names under which a compose file is looked for, best first (compose-spec).
const FILE_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The files that Compose lays over a compose file that it has found by itself.
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The compose file at `path`, or the one in the directory `path`.
pub(super) fn file(path: &Path, warnings: &mut Vec<String>) -> Result<PathBuf, LoadError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let absolute = clean(&absolute);
    if !absolute.is_dir() {
        return Ok(absolute);
    }
    let mut present =
        FILE_NAMES.iter().map(|name| absolute.join(name)).filter(|file| file.is_file());
    let Some(first) = present.next() else {
        let message = format!(
            "there is no compose file here; looked for {}. Name one, or write one",
            FILE_NAMES.join(", ")
        );
        return Err(Problem::of_file(&Arc::new(absolute), message).into());
    };
    if let Some(other) = present.next() {
        let (used, unused) = (first.display(), other.display());
        warnings.push(format!("several compose files: {used} is used, {unused} is not"));
    }
    let over = OVERRIDE_NAMES.iter().map(|name| absolute.join(name)).find(|file| file.is_file());
    if let Some(over) = over {
        let message = "override files are not supported yet; write its settings into the compose \
                       file, or name the compose file to load it alone";
        return Err(Problem::of_file(&Arc::new(over), message).into());
    }
    Ok(first)
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        Problem::of_file(&Arc::new(path.to_path_buf()), message).into()
    })
}

/// A path without `.` and `..`, by its text alone, as Compose does it.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
