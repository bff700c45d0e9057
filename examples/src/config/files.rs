//! Paths that a configuration file names: they start at its own directory.

use std::path::{Component, Path, PathBuf};

use super::reader::Field;

/// The directory of the configuration file.
#[derive(Clone, Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    /// The directory of `file`.
    pub(super) fn of(file: &Path) -> Self {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self(parent.unwrap_or(Path::new(".")).to_owned())
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }

    pub(super) fn path(&self, text: &str) -> PathBuf {
        if self.0 == Path::new(".") { PathBuf::from(text) } else { self.0.join(text) }
    }

    /// A file that must exist now.
    pub(super) fn existing_file(&self, field: &Field<'_>) -> Option<PathBuf> {
        let text = field.text()?;
        let path = self.path(text);
        if path.is_file() {
            return Some(path);
        }
        let what = if path.is_dir() { "is a directory" } else { "does not exist" };
        field.problem(
            format!("file {} {what}", path.display()),
            "name a file, relative to the directory of this one",
        );
        None
    }

    /// A directory that must exist now.
    pub(super) fn existing_directory(&self, field: &Field<'_>) -> Option<PathBuf> {
        let path = self.path(field.text()?);
        if path.is_dir() {
            return Some(path);
        }
        let what = if path.exists() { "is no directory" } else { "does not exist" };
        field.problem(
            format!("{} {what}", path.display()),
            "name a directory, relative to the one of this file: \".\" is that one",
        );
        None
    }

    /// A file or directory below this directory, which must exist now.
    pub(super) fn existing_below(&self, field: &Field<'_>) -> Option<PathBuf> {
        let text = field.text()?;
        let inner = Path::new(text);
        let mut parts = inner.components().filter(|part| *part != Component::CurDir).peekable();
        let below =
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)));
        if !below {
            field.problem(
                format!("\"{text}\" is not below the directory of this file"),
                "name a relative path without `..`: it gets the same place in the release",
            );
            return None;
        }
        if !self.path(text).exists() {
            field.problem(
                format!("{} does not exist", self.path(text).display()),
                "build it first, or name another file or directory",
            );
            return None;
        }
        Some(inner.to_owned())
    }
}
