//! The documents of a file as one tree.

use std::{path::PathBuf, sync::Arc};

use super::{
    problem::{LoadError, Problem},
    yaml::{self, Kind, Node, Position},
};

/// All documents of a file as one tree, later ones over earlier ones.
pub(super) fn combine(text: &str, file: &Arc<PathBuf>) -> Result<Node, LoadError> {
    let at = |position: Position, path: &str, message: String| Problem {
        position: Some(position),
        path: path.to_owned(),
        ..Problem::of_file(file, message)
    };
    let documents = yaml::parse(text).map_err(|broken| at(broken.at, "", broken.message))?;
    let mut documents = documents.into_iter();
    let Some(mut tree) = documents.next().filter(|document| !document.is_null()) else {
        return Err(Problem::of_file(file, "the file is empty; write `services:`").into());
    };
    for document in documents {
        if document.is_null() {
            let message = "the document is empty; remove its `---`".to_owned();
            return Err(at(document.at, "", message).into());
        }
        overlay(&mut tree, document, &mut String::new())
            .map_err(|clash| at(clash.at, &clash.path, clash.message))?;
    }
    refuse_tags(&tree, file)?;
    Ok(tree)
}

struct Clash {
    at: Position,
    path: String,
    message: String,
}

/// Scalars replace, mappings merge, lists append what is not there yet.
fn overlay(base: &mut Node, over: Node, path: &mut String) -> Result<(), Clash> {
    let at = over.at;
    match (&mut base.kind, over.kind) {
        (Kind::Mapping(entries), Kind::Mapping(more)) => {
            for entry in more {
                let Some(known) = entries.iter_mut().find(|known| known.key == entry.key) else {
                    entries.push(entry);
                    continue;
                };
                if matches!(entry.key.as_str(), "command" | "entrypoint" | "test") {
                    known.value = entry.value;
                    continue;
                }
                let length = path.len();
                path.push_str(if length > 0 { "." } else { "" });
                path.push_str(&entry.key);
                overlay(&mut known.value, entry.value, path)?;
                path.truncate(length);
            }
        }
        (Kind::Sequence(items), Kind::Sequence(more)) => {
            for item in more {
                if !items.iter().any(|known| known.kind == item.kind) {
                    items.push(item);
                }
            }
        }
        (kind @ Kind::Scalar { .. }, over @ Kind::Scalar { .. }) => {
            *kind = over;
            base.at = at;
        }
        (Kind::Scalar { text, .. }, over) if text.is_empty() => {
            base.kind = over;
            base.at = at;
        }
        // Nothing over something changes nothing.
        (_, Kind::Scalar { text, plain: true }) if text.is_empty() => {}
        _ => {
            let message = "an earlier document writes this in another form (text, list or \
                           mapping); write both in one form";
            return Err(Clash { at, path: path.clone(), message: message.to_owned() });
        }
    }
    Ok(())
}

/// `!reset` and `!override` change what a merge of files does, which is not supported.
fn refuse_tags(node: &Node, file: &Arc<PathBuf>) -> Result<(), Problem> {
    if let Some(tag) = node.tag.as_deref().filter(|tag| !tag.starts_with("!!")) {
        let message = format!("the tag `{tag}` is not supported yet; write the value itself");
        return Err(Problem { position: Some(node.at), ..Problem::of_file(file, message) });
    }
    match &node.kind {
        Kind::Scalar { .. } => Ok(()),
        Kind::Sequence(items) => items.iter().try_for_each(|item| refuse_tags(item, file)),
        Kind::Mapping(entries) => entries
            .iter()
            .filter(|entry| !entry.key.starts_with("x-"))
            .try_for_each(|entry| refuse_tags(&entry.value, file)),
    }
}
