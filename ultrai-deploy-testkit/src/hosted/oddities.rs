//! Upgrades on which something odd happens.

use ultrai_deploy_core::ErrorKind;

use super::{Fake, Fault, Hostile, Lab, ended};

/// How an upgrade from 1.0.0 to 1.1.0 ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// With 1.1.0.
    Succeeds,
    /// With 1.0.0, for a cause of this kind whose message and advice hold these words.
    RollsBack(ErrorKind, &'a str, &'a str),
}

impl<F: Fake> Lab<F> {
    /// Deploys 1.0.0, lets `odd` happen, and deploys 1.1.0.
    ///
    /// # Panics
    /// When it does not end as expected, or leaves something else behind than the release that it
    /// ends with.
    pub async fn upgrades(&self, what: &str, odd: impl FnOnce(&F), expected: Expected<'_>) {
        let first = self.deploy("1.0.0").await;
        assert_eq!(ended(&first), "succeeded", "{what}: {first}");
        odd(&self.fake);
        let report = self.deploy("1.1.0").await;
        let version = match expected {
            Expected::Succeeds => {
                assert_eq!(ended(&report), "succeeded", "{what}: {report}");
                "1.1.0"
            }
            Expected::RollsBack(kind, message, advice) => {
                assert_eq!(ended(&report), "rolled back", "{what}: {report}");
                let Some(cause) = report.cause() else { panic!("{what}: {report}") };
                assert_eq!(cause.kind, kind, "{what}: {report}");
                let text = report.to_string();
                assert!(text.contains(message), "{what}: no `{message}`: {text}");
                assert!(text.contains(advice), "{what}: no `{advice}`: {text}");
                "1.0.0"
            }
        };
        self.assert_serves(version);
    }
}

/// A call that starts a deploy and whose answer does not come is not sent again, whether it did anything
/// or not; what it began is stopped. `deploy` is part of what that call is about, `operation` what is told
/// of it.
///
/// # Panics
/// When it is not so.
pub async fn lost_starts<F: Hostile>(make: impl AsyncFn() -> F, deploy: &str, operation: &str) {
    for (fault, told) in [
        (Fault::Internal, "the platform failed"),
        (Fault::Gateway, "the platform failed"),
        (Fault::Lost, "no HTTP answer"),
        (Fault::Half, "broke off"),
    ] {
        let what = format!("{fault:?}");
        let expected = Expected::RollsBack(ErrorKind::Unavailable, told, operation);
        let lab = Lab::new(make().await);
        lab.upgrades(&what, |fake| fake.fail_next(deploy, fault), expected).await;
    }
}
