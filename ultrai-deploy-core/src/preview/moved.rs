//! What differs between a plan and what is found when it is applied.

use std::collections::BTreeSet;

use super::{KeyChange, SavedPlan, Secrecy, keys, saved::marks};
use crate::{
    current::Current,
    error::{Error, ErrorKind, Result},
    name::ReleaseId,
    plan::{Action, Plan},
    redact::Redactor,
    release::Release,
};

/// Most differences that an error names.
const MOST: usize = 10;

impl SavedPlan {
    /// Checks that what serves is what the plan stands on.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming what differs.
    pub(crate) fn check_world(&self, current: &Current) -> Result<()> {
        let (serving, running) = marks(current);
        let basis = self.basis();
        let mut moved = Vec::new();
        if serving != basis.baseline {
            let named = |id: &Option<ReleaseId>| {
                id.as_ref().map_or_else(|| "nothing".to_owned(), |id| format!("release {id}"))
            };
            moved.push(format!("{} serves, not {}", named(&serving), named(&basis.baseline)));
        }
        for name in both(basis.running.keys(), running.keys()) {
            match (basis.running.get(name), running.get(name)) {
                (Some(_), None) => moved.push(format!("{name} runs no more")),
                (None, Some(_)) => moved.push(format!("{name} runs now")),
                (Some(planned), Some(found)) if planned != found => {
                    let what = if planned.up != found.up {
                        if found.up { "is up again" } else { "is not up" }
                    } else if planned.image != found.image {
                        "runs another image"
                    } else if planned.instances != found.instances {
                        "runs another number of instances"
                    } else {
                        "runs with another definition"
                    };
                    moved.push(format!("{name} {what}"));
                }
                _ => {}
            }
        }
        settle("the environment has changed since the plan was made", moved)
    }

    /// Checks that a sealed release is the one that was planned. Of an image that was not known,
    /// any will do.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming what differs.
    pub(crate) fn check_release(&self, release: &Release) -> Result<()> {
        let planned = &self.basis().release;
        let mut moved = Vec::new();
        if planned.project != release.project {
            moved.push(format!("the project is {}, not {}", release.project, planned.project));
        }
        if planned.version.as_str() != release.version.as_str() {
            moved.push(format!("the version is {}, not {}", release.version, planned.version));
        }
        let redactor = Redactor::default();
        let secrecy = Secrecy::new(&[planned, release], &redactor);
        for name in both(planned.services.keys(), release.services.keys()) {
            let (old, new) = match (planned.services.get(name), release.services.get(name)) {
                (Some(old), Some(new)) => (old, new),
                (None, _) => {
                    moved.push(format!("service {name} is new"));
                    continue;
                }
                (_, None) => {
                    moved.push(format!("service {name} is gone"));
                    continue;
                }
            };
            if old.image != new.image && !self.basis().unknown.contains(name) {
                let id = |image: &Option<crate::release::Image>| {
                    image.as_ref().map_or_else(|| "none".to_owned(), |image| image.id.clone())
                };
                let (is, was) = (id(&new.image), id(&old.image));
                moved.push(format!("the image of {name} is {is}, not {was}"));
            }
            let changes = keys::of_service((planned.origin, old), new, &secrecy);
            moved.extend(changes.iter().map(|change| format!("{name}: {}", named(change))));
        }
        let shared = keys::of_values(&planned.resources, &release.resources, &secrecy);
        moved.extend(shared.iter().map(named));
        let checks = keys::of_verification(planned, release);
        moved.extend(checks.iter().map(named));
        if moved.is_empty() {
            let comparable = release.clone().with_images_of(planned, &self.basis().unknown)?;
            if comparable.id != planned.id {
                moved.push(format!("the release is {}, not {}", comparable.id, planned.id));
            }
        }
        settle("what is to be deployed has changed since the plan was made", moved)
    }

    /// Checks that the binding plan does what was planned. Where an image was not known it may do
    /// less: what was built may be what runs.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming what differs.
    pub(crate) fn check_plan(&self, plan: &Plan) -> Result<()> {
        let planned = &self.basis().plan;
        let may_do_less = !self.basis().unknown.is_empty();
        let mut moved = Vec::new();
        for name in both(planned.services.keys(), plan.services.keys()) {
            let action = |plan: &Plan| plan.services.get(name).map(|change| change.action);
            let (was, is) = (action(planned), action(plan));
            if was == is || (may_do_less && does_less(is, was)) {
                continue;
            }
            let shown = |action: Option<Action>| action.map_or("nothing", Action::as_str);
            moved.push(format!("{name}: {}, not {}", shown(is), shown(was)));
        }
        let added = |of: fn(&Plan) -> &Vec<String>| {
            let known: BTreeSet<&String> = of(planned).iter().collect();
            of(plan).iter().filter(move |item| !known.contains(item)).cloned()
        };
        moved.extend(added(|plan| &plan.resources).map(|item| format!("{item} would change")));
        moved.extend(
            added(|plan| &plan.not_undoable)
                .map(|item| format!("a rollback would not bring back {item}")),
        );
        settle("a deploy would not do what was planned", moved)
    }
}

/// Whether an action stands in for a planned one with less disturbance.
fn does_less(is: Option<Action>, was: Option<Action>) -> bool {
    matches!(
        (is, was),
        (Some(Action::Keep), Some(Action::StartFirst | Action::StopFirst))
            | (Some(Action::StartFirst), Some(Action::StopFirst))
    )
}

/// The key alone: errors go into journals and logs.
fn named(change: &KeyChange) -> String {
    format!("{} {}", change.key, change.edit.as_str())
}

fn both<'a, T: Ord + 'a>(
    one: impl Iterator<Item = &'a T>,
    other: impl Iterator<Item = &'a T>,
) -> BTreeSet<&'a T> {
    one.chain(other).collect()
}

fn settle(what: &str, mut moved: Vec<String>) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let more = moved.len().saturating_sub(MOST);
    moved.truncate(MOST);
    if more > 0 {
        moved.push(format!("and {more} more"));
    }
    Err(Error::new(ErrorKind::Conflict, "apply the plan", format!("{what}: {}", moved.join("; ")))
        .with_advice("look at `ultrai plan` and save it again")
        .without_effect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::ServiceName, plan::Change, preview::saved::tests::plan as saved};

    fn with(action: Option<Action>, not_undoable: &[&str]) -> Plan {
        let mut plan = saved().basis().plan.clone();
        let change = action.map(|action| Change { action, reason: String::new() });
        plan.services =
            change.map(|one| (ServiceName::new("web").unwrap(), one)).into_iter().collect();
        plan.not_undoable = not_undoable.iter().map(ToString::to_string).collect();
        plan
    }

    fn check(planned: Plan, is_built: bool, found: &Plan) -> Result<(), String> {
        let mut basis = saved().basis().clone();
        basis.plan = planned;
        if is_built {
            basis.unknown = [ServiceName::new("web").unwrap()].into();
        }
        let plan = SavedPlan::new(basis, jiff::Timestamp::UNIX_EPOCH);
        plan.check_plan(found).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn nothing_but_what_was_planned_is_done() {
        let stop = || with(Some(Action::StopFirst), &["data"]);
        assert_eq!(check(stop(), false, &stop()), Ok(()));
        for (found, why) in [
            (with(Some(Action::Keep), &["data"]), "web: keep, not replace, old one stops first"),
            (with(None, &["data"]), "web: nothing, not replace"),
            (with(Some(Action::StopFirst), &["data", "more"]), "would not bring back more"),
        ] {
            let refused = check(stop(), false, &found).unwrap_err();
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }

    #[test]
    fn an_image_that_was_not_known_may_lead_to_less_and_never_to_more() {
        let of = |action| with(Some(action), &[]);
        assert_eq!(check(of(Action::StopFirst), true, &of(Action::Keep)), Ok(()));
        assert_eq!(check(of(Action::StopFirst), true, &of(Action::StartFirst)), Ok(()));
        assert!(check(of(Action::StartFirst), true, &of(Action::StopFirst)).is_err());
        assert!(check(of(Action::StartFirst), true, &of(Action::Remove)).is_err());
        assert!(check(of(Action::Keep), true, &of(Action::StartFirst)).is_err());
    }
}
