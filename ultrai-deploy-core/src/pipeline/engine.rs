//! Which version of the engine goes on with a run that another version began.
//!
//! A run promises what the engine that began it does. One that may do the rest in another way does
//! not go forward: it goes back, for which the journal says all that is needed. What a person
//! accepted after a hold goes on all the same: that is their decision, and the release is proven.

use semver::Version;

use crate::error::{Error, ErrorKind};

/// This engine's version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether this engine does the rest of a run as the engine of version `begun` would have.
pub(super) fn goes_on_from(begun: &str) -> bool {
    is_same_series(begun, VERSION)
}

/// Why a run that an engine of version `begun` began does not go forward.
pub(super) fn other(begun: &str) -> Error {
    let message = format!(
        "version {} of ultrai-deploy began the run, and this is {VERSION}, which may do the rest \
         in another way",
        begun.escape_default()
    );
    Error::new(ErrorKind::Unsupported, "go on", message)
        .with_advice("deploy again")
        .without_effect()
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
