//! `command` and `entrypoint`: a list of words, or a line that is split into words.

use super::{
    field::{Field, Result},
    shellwords,
};

/// Reads a command. Nothing for null (the image's own), empty for an explicit nothing.
pub(super) fn read(field: &Field<'_>) -> Result<Option<Vec<String>>> {
    if field.is_null() {
        return Ok(None);
    }
    if !field.is_scalar() {
        return field.texts().map(Some);
    }
    let line = field.text()?;
    shellwords::split(&line)
        .map(Some)
        .map_err(|why| field.problem(format!("`{line}` cannot be split into words: {why}")))
}
