//! Finding the one thing that a name or an id means.

use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::model::{Environment, Project, Service, VolumeInstance, Workspace};

/// How many candidates an error lists.
const SHOWN: usize = 20;

/// Something that people call by a name.
pub trait Called {
    /// Its id.
    fn id(&self) -> &str;

    /// Its name.
    fn name(&self) -> &str;

    /// Whether it is still there; what is not cannot be meant.
    fn is_there(&self) -> bool {
        true
    }
}

impl Called for Workspace {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Called for VolumeInstance {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> &str {
        self.volume.as_ref().map_or("", |volume| &volume.name)
    }

    fn is_there(&self) -> bool {
        !self.is_pending_deletion
    }
}

macro_rules! called {
    ($($name:ident),*) => {$(
        impl Called for $name {
            fn id(&self) -> &str {
                self.id.as_str()
            }

            fn name(&self) -> &str {
                &self.name
            }

            fn is_there(&self) -> bool {
                self.deleted_at.is_none()
            }
        }
    )*};
}

called!(Environment, Project, Service);

/// The one of `all` that `wanted` means: by its id, else by its exact name, else by its name in another
/// case, as Railway's own CLI does it. `what` is what they are: `service`.
///
/// # Errors
/// [`ErrorKind::NotFound`] when none is, and [`ErrorKind::Invalid`] when several are; both tell what
/// there is.
pub fn exactly_one<'a, T: Called>(what: &str, wanted: &str, all: &'a [T]) -> Result<&'a T> {
    let there = || all.iter().filter(|one| one.is_there());
    let by = |test: &dyn Fn(&T) -> bool| there().filter(|one| test(one)).collect::<Vec<_>>();
    let lower = wanted.to_lowercase();
    let by_id = by(&|one| one.id().eq_ignore_ascii_case(wanted));
    let by_name = by(&|one| one.name() == wanted);
    let by_name_in_any_case = by(&|one| one.name().to_lowercase() == lower);
    for found in [by_id, by_name, by_name_in_any_case] {
        match found[..] {
            [] => {}
            [one] => return Ok(one),
            ref several => {
                let (number, wanted) = (several.len(), shown(wanted));
                let message = format!("{number} {what}s are called `{wanted}`");
                return Err(refused(ErrorKind::Invalid, message)
                    .with_advice(format!("name it by its id: {}", list(several, true))));
            }
        }
    }
    let message = format!("there is no {what} `{}`, or the token does not see it", shown(wanted));
    let candidates = there().collect::<Vec<_>>();
    Err(refused(ErrorKind::NotFound, message).with_advice(if candidates.is_empty() {
        format!("it sees none at all: look whether it is for the right {what}")
    } else {
        format!("there is {}", list(&candidates, false))
    }))
}

fn refused(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "find what a name means", message).without_effect()
}

fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

fn list<T: Called>(candidates: &[&T], with_ids: bool) -> String {
    let one = |one: &&T| {
        let name = shown(one.name());
        if with_ids { format!("`{}` (`{name}`)", shown(one.id())) } else { format!("`{name}`") }
    };
    let shown = candidates.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    match candidates.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn services(pairs: &[(&str, &str)]) -> Vec<Service> {
        let one = |(id, name): &(&str, &str)| {
            let deleted = id.starts_with("gone").then_some("2026-11-21T12:00:00Z");
            serde_json::from_value(json!({ "id": id, "name": name, "deletedAt": deleted })).unwrap()
        };
        pairs.iter().map(one).collect()
    }

    fn found(wanted: &str, all: &[Service]) -> Result<String> {
        exactly_one("service", wanted, all).map(|service| service.id.to_string())
    }

    #[test]
    fn an_id_wins_over_a_name_and_an_exact_name_over_another_case() {
        let all = services(&[
            ("a1", "web"),
            ("b2", "Web"),
            ("c3", "Worker"),
            ("d4", "a1"),
            ("gone5", "worker"),
        ]);
        for (wanted, id) in
            [("a1", "a1"), ("A1", "a1"), ("web", "a1"), ("Web", "b2"), ("WORKER", "c3")]
        {
            assert_eq!(found(wanted, &all).unwrap(), id, "{wanted}");
        }
        let error = found("WEB", &all).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            error.to_string(),
            "cannot find what a name means: 2 services are called `WEB` \
             (name it by its id: `a1` (`web`), `b2` (`Web`))"
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = found("wbe", &services(&[("a1", "web"), ("gone2", "wbe")])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.advice(), Some("there is `web`"));
        let error = found("", &services(&[])).unwrap_err();
        assert!(error.advice().unwrap().contains("sees none"), "{error}");
        let many = (0..23).map(|n| (format!("{n}"), format!("s{n}"))).collect::<Vec<_>>();
        let many = many.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect::<Vec<_>>();
        let error = found("x", &services(&many)).unwrap_err();
        assert!(error.advice().unwrap().ends_with("`s19` and 3 more"), "{error}");
    }
}
