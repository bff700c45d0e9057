//! Whether a run goes forward, after all that may have happened since its last stage.
//!
//! A driver that took a run over has less than the one that began it: not the job, not the secret
//! values, not what was built. And a run promises what the engine that began it does: another one
//! may do the rest in another way. What cannot be gone on with goes back, for which the journal says
//! all that is needed.

use semver::Version;

use super::Driver;
use crate::{
    error::{Error, ErrorKind},
    stage::Stage,
    state::State,
};

/// This engine's version.
pub(super) const ENGINE: &str = env!("CARGO_PKG_VERSION");

impl Driver {
    /// Why the run does not go forward, if it does not.
    pub(super) fn reason_to_stop(&self, stage: Stage, found: &State) -> Option<Error> {
        if found.is_past_return() {
            return None;
        }
        let stop = |kind, why: String| Error::new(kind, "go on", why).without_effect();
        if self.cancel.is_cancelled() || found.is_cancelled() {
            return Some(stop(ErrorKind::Cancelled, "the run was cancelled".to_owned()));
        }
        if !self.is_adopted {
            return None;
        }
        let interrupted = |before: &str| {
            stop(ErrorKind::Unavailable, format!("the run was interrupted before {before}"))
                .with_advice("deploy again")
        };
        if found.release().is_none() {
            return Some(interrupted("its release was sealed"));
        }
        let facts = found.facts()?;
        if facts.plan.is_some() && stage <= Stage::Push {
            // Only the process that was given the plan can compare it.
            return Some(interrupted("its plan was found to hold"));
        }
        if found.is_to_inherit() {
            // What is held is for whoever looks next, not for what had not taken its place.
            return Some(interrupted("it took the place of the held one"));
        }
        // That a person accepted it counts for more: what is left is to retire the old release.
        if !found.is_accepted() && !is_same_series(&facts.engine, ENGINE) {
            let message = format!(
                "version {} of ultrai-deploy began the run, and this is {ENGINE}, which may do the \
                 rest in another way",
                facts.engine.escape_default()
            );
            return Some(stop(ErrorKind::Unsupported, message).with_advice("deploy again"));
        }
        None
    }
}

/// Whether semantic versioning calls two versions compatible, whichever is the newer one.
fn is_same_series(one: &str, other: &str) -> bool {
    let series = |text: &str| {
        let Version { major, minor, patch, pre, .. } = Version::parse(text).ok()?;
        let patch = if (major, minor) == (0, 0) { patch } else { 0 };
        let minor = if major == 0 { minor } else { 0 };
        Some((major, minor, patch, pre))
    };
    series(one).is_some_and(|one| series(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::is_same_series;

    #[test]
    fn a_series_is_what_semantic_versioning_calls_compatible() {
        for (one, other, is_same) in [
            ("1.2.3", "1.2.3", true),
            ("1.2.3", "1.9.0", true),
            ("1.2.3", "2.0.0", false),
            ("0.4.1", "0.4.7", true),
            ("0.4.1", "0.5.0", false),
            ("0.0.1", "0.0.2", false),
            ("1.0.0-rc.1", "1.0.0", false),
            ("1.0.0", "1.0.0+build.5", true),
            ("0", "0", false),
            ("", "1.0.0", false),
        ] {
            assert_eq!(is_same_series(one, other), is_same, "{one} and {other}");
            assert_eq!(is_same_series(other, one), is_same, "{other} and {one}");
        }
    }
}
