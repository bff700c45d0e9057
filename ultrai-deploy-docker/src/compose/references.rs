//! Secrets and configs that a service mounts.

use super::{
    field::{Field, Result},
    model::FileReference,
    yaml::Kind,
};

/// Reads `secrets:` or `configs:` of a service; a target that is not absolute lies in `directory`.
pub(super) fn read(field: &Field<'_>, directory: &str) -> Result<Vec<FileReference>> {
    let mut references = Vec::new();
    for item in field.items()? {
        let mut reference = FileReference {
            source: String::new(),
            target: String::new(),
            uid: None,
            gid: None,
            mode: None,
            written: None,
        };
        if item.is_scalar() {
            reference.source = item.text()?;
        } else {
            for pair in item.pairs()? {
                match pair.key {
                    "source" => reference.source = pair.value.text()?,
                    "target" => reference.target = pair.value.text()?,
                    "uid" => reference.uid = pair.value.set_text()?,
                    "gid" => reference.gid = pair.value.set_text()?,
                    "mode" => reference.mode = Some(mode(&pair.value)?),
                    _ if pair.is_extension() => {}
                    _ => return Err(pair.unknown(&["source", "target", "uid", "gid", "mode"])),
                }
            }
        }
        if reference.source.is_empty() {
            return Err(item.problem("`source:` is missing"));
        }
        reference.written = Some(reference.target.clone()).filter(|target| !target.is_empty());
        if reference.target.is_empty() {
            reference.target = format!("{directory}{}", reference.source);
        } else if !reference.target.starts_with('/') {
            reference.target = format!("{directory}{}", reference.target);
        }
        references.push(reference);
    }
    Ok(references)
}

/// A file mode: plain `0440` is octal already; quoted `"0440"` is read as octal.
pub(super) fn mode(field: &Field<'_>) -> Result<u32> {
    match &field.node.kind {
        Kind::Scalar { text, plain: false } => u32::from_str_radix(text, 8)
            .map_err(|_| field.problem("an octal mode must stand here, for example \"0440\"")),
        _ => field.small(),
    }
}
