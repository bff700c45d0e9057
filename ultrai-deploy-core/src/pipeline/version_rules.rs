//! Which versions a deploy may bring: none that is lower than what serves, and no pre-release where
//! the policy wants none. Pure.

use std::cmp::Ordering;

use super::{DeployRequest, Policy, PreReleases};
use crate::{
    error::{Error, ErrorKind, Result},
    release::{Origin, Release},
};

/// Refuses a pre-release where the policy wants none.
///
/// # Errors
/// [`ErrorKind::Refused`].
pub(super) fn refuse_pre_release(policy: &Policy, request: &DeployRequest) -> Result<()> {
    let version = &request.spec.version;
    let is_fine = policy.pre_releases == PreReleases::Allowed
        || request.allow_pre_release
        || !version.is_pre_release();
    if is_fine {
        return Ok(());
    }
    let message =
        format!("{version} is a pre-release, and the policy of the environment wants none");
    Err(Error::new(ErrorKind::Refused, "deploy a version", message)
        .with_advice("deploy the release itself; --allow-pre-release deploys it all the same")
        .without_effect())
}

/// Refuses a version that is lower than that of what it would replace. The same version with other
/// content is fine: new secrets are no new version.
///
/// What others had started is not compared: its version is a guess, from a tag of one of its images
/// or from nothing at all.
///
/// # Errors
/// [`ErrorKind::Refused`].
pub(super) fn refuse_downgrade(request: &DeployRequest, serving: Option<&Release>) -> Result<()> {
    let Some(serving) = serving.filter(|serving| serving.origin == Origin::Sealed) else {
        return Ok(());
    };
    let (new, old) = (&request.spec.version, &serving.version);
    if request.allow_downgrade || new.precedence(old) != Ordering::Less {
        return Ok(());
    }
    let message = format!("{new} is lower than {old}, which serves");
    Err(Error::new(ErrorKind::Refused, "deploy a version", message)
        .with_advice(format!(
            "`ultrai rollback --to {new}` returns to a release that was proven; --allow-downgrade \
             deploys it all the same"
        ))
        .without_effect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{name::ProjectName, spec::ReleaseSpec, version::Version};

    fn project() -> ProjectName {
        ProjectName::new("shop").unwrap()
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn request(text: &str) -> DeployRequest {
        DeployRequest::new(ReleaseSpec::new(project(), version(text)))
    }

    fn serving(text: &str) -> Release {
        Release::new(project(), version(text), BTreeMap::new()).unwrap()
    }

    #[test]
    fn lower_is_what_semantic_versioning_calls_lower() {
        for (new, old, is_refused) in [
            ("1.0.0", "1.1.0", true),
            ("1.9.0", "v1.10.0", true),
            ("1.1.0-rc.1", "1.1.0", true),
            ("1.1.0-rc.2", "1.1.0-rc.10", true),
            ("1.1.0", "1.1.0-rc.1", false),
            ("v1.1.0", "1.1.0", false),
            // Builds of one version are neither higher nor lower.
            ("1.1.0+1", "1.1.0+2", false),
            ("1.1.0", "1.1.0+2", false),
            ("2.0.0", "1.1.0", false),
        ] {
            let refused = refuse_downgrade(&request(new), Some(&serving(old)));
            assert_eq!(refused.is_err(), is_refused, "{new} over {old}");
            let mut allowed = request(new);
            allowed.allow_downgrade = true;
            assert!(refuse_downgrade(&allowed, Some(&serving(old))).is_ok());
        }
        assert!(refuse_downgrade(&request("0.1.0"), None).is_ok());
        let guessed = serving("7.4.0").adopted().unwrap();
        assert!(refuse_downgrade(&request("0.1.0"), Some(&guessed)).is_ok());
    }

    #[test]
    fn a_pre_release_is_refused_only_where_the_policy_says_so() {
        let strict = Policy { pre_releases: PreReleases::Refused, ..Policy::default() };
        for (text, is_refused) in [("1.0.0-rc.1", true), ("1.0.0", false), ("1.0.0+ci.1", false)] {
            let mut request = request(text);
            assert!(refuse_pre_release(&Policy::default(), &request).is_ok());
            assert_eq!(refuse_pre_release(&strict, &request).is_err(), is_refused, "{text}");
            request.allow_pre_release = true;
            assert!(refuse_pre_release(&strict, &request).is_ok());
        }
    }
}
