//! A preview for people.

use std::fmt;

use serde_json::Value;

use super::{Edit, ImageChange, KeyChange, NewImage, Preview};
use crate::{name::ServiceName, plan::Action, release::Image};

/// Most characters of a value that are shown; the JSON form has all of them.
const LONGEST: usize = 100;

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan for {} to {}", self.version, self.target)?;
        match &self.release {
            Some(release) => writeln!(f, " (release {release})")?,
            None => writeln!(f, " (the release is known when its images are)")?,
        }
        if self.unchanged {
            writeln!(f, "nothing changes")?;
        }
        for (name, service) in &self.services {
            let is_kept = service.change.action == Action::Keep;
            if self.unchanged && is_kept {
                continue;
            }
            writeln!(f, "{}", service.change.describe(name))?;
            if let Some(image) = &service.image {
                writeln!(f, "          {image}")?;
            }
            for change in &service.configuration {
                writeln!(f, "          {change}")?;
            }
        }
        for resource in &self.resources {
            writeln!(f, "create  {resource}")?;
        }
        for change in self.shared.iter().chain(&self.verification) {
            writeln!(f, "change  {change}")?;
        }
        if !self.downtime.is_empty() {
            let names: Vec<_> = self.downtime.iter().map(ServiceName::as_str).collect();
            writeln!(
                f,
                "downtime: {} (from the stop until the new one is well)",
                names.join(", ")
            )?;
        } else if !self.unchanged {
            writeln!(f, "downtime: none expected")?;
        }
        for item in &self.not_undoable {
            writeln!(f, "a rollback does not bring back: {item}")?;
        }
        if let Some(readiness) = self.readiness.as_ref().filter(|one| one.gaps().next().is_some()) {
            write!(f, "{readiness}")?;
        }
        if self.blocked {
            writeln!(f, "a deploy is refused: the policy wants one that can be taken back")?;
        }
        match &self.rollback_point {
            Some(point) => {
                let proven = if point.proven { "proven" } else { "not proven" };
                let (version, release) = (&point.version, &point.release);
                writeln!(
                    f,
                    "a failed deploy goes back to {version} (release {release}, {proven})"
                )?;
            }
            None => writeln!(f, "a failed deploy is removed: nothing runs yet")?,
        }
        if let Some(run) = &self.unfinished {
            writeln!(f, "note: run {run} is not over; a deploy goes on from what it leaves")?;
        }
        Ok(())
    }
}

impl fmt::Display for ImageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = self.old.as_ref().map_or_else(|| "none".to_owned(), exact);
        match &self.new {
            NewImage::Known(image) => write!(f, "image: {old} -> {}", exact(image)),
            NewImage::Built { reference } => write!(f, "image: {old} -> {reference}, built anew"),
            NewImage::Pulled { reference } => write!(f, "image: {old} -> {reference}, pulled"),
            NewImage::Pushed { reference } => write!(f, "image: {old} -> {reference}, pushed"),
        }
    }
}

/// An image with its digest, or the id of one that is in no registry.
fn exact(image: &Image) -> String {
    let id = image.digest.as_ref().unwrap_or(&image.id);
    if image.reference.contains(id.as_str()) {
        return image.reference.clone();
    }
    format!("{} {}", image.reference, cut(id, "sha256:".len() + 12))
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| {
            value.as_ref().map(|value| cut(&value.to_string(), LONGEST)).unwrap_or_default()
        };
        let (old, new) = (shown(&self.old), shown(&self.new));
        match (self.edit, &self.old, &self.new) {
            (Edit::Changed, Some(_), Some(_)) => write!(f, "{}: {old} -> {new}", self.key),
            (Edit::Added, _, Some(_)) => write!(f, "{} added: {new}", self.key),
            (edit, ..) => write!(f, "{} {}", self.key, edit.as_str()),
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
