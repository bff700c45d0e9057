//! Names, as the system resolves them.

use std::{collections::BTreeSet, net::IpAddr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};

use crate::{
    finding::Finding,
    look::{Look, Looking},
    source::wrong,
};

/// A name that resolves on this machine, in time, to as many addresses as are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSpec {
    /// The name: `api.example.com`.
    pub name: String,
    /// All the addresses that it has, in any order; any are fine by default.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub expect: BTreeSet<IpAddr>,
    /// How many addresses it has at least; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Dns(DnsSpec);

impl Dns {
    pub(crate) fn new(check: &CheckSpec, spec: DnsSpec) -> Result<Self> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | '@');
        if spec.name.is_empty() || spec.name.contains(odd) {
            return Err(wrong(check, "names no host")
                .with_advice("set name to a host without scheme and port: api.example.com"));
        }
        if spec.at_least == Some(0) {
            return Err(
                wrong(check, "wants at least no address").with_advice("set at_least to 1 or more")
            );
        }
        if !spec.expect.is_empty() && spec.at_least.is_some() {
            return Err(wrong(check, "has expect and at_least")
                .with_advice("leave at_least out: expect names all addresses"));
        }
        Ok(Self(spec))
    }
}

#[async_trait]
impl Look for Dns {
    fn secrets(&self) -> Vec<SecretName> {
        Vec::new()
    }

    async fn look(&self, _: &Endpoint, _: &Secrets, looking: &Looking) -> Result<Finding> {
        let name = &self.0.name;
        looking.waits(format!("{name}: not resolved"));
        let began = Instant::now();
        let found: BTreeSet<IpAddr> = match tokio::net::lookup_host((name.as_str(), 0)).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(error) => return Ok(Finding::bad(format!("{name}: not resolved: {error}"))),
        };
        let seen = format!("{name} is {} (resolved in {:.1?})", listed(&found), began.elapsed());
        Ok(match self.0.difference(&found) {
            None => Finding::good(seen),
            Some(why) => Finding::bad(format!("{name}: {why}")).with_evidence(seen),
        })
    }
}

impl DnsSpec {
    /// What is not as wanted.
    fn difference(&self, found: &BTreeSet<IpAddr>) -> Option<String> {
        if !self.expect.is_empty() && self.expect != *found {
            let missing: BTreeSet<_> = self.expect.difference(found).copied().collect();
            let more: BTreeSet<_> = found.difference(&self.expect).copied().collect();
            let mut parts = Vec::new();
            if !missing.is_empty() {
                parts.push(format!("{} missing", listed(&missing)));
            }
            if !more.is_empty() {
                parts.push(format!("{} not expected", listed(&more)));
            }
            return Some(format!("it resolves to other addresses: {}", parts.join(", ")));
        }
        let least = usize::try_from(self.at_least.unwrap_or(1)).unwrap_or(usize::MAX);
        (found.len() < least).then(|| {
            format!(
                "it resolves to {} addresses ({}), not {least} or more",
                found.len(),
                listed(found)
            )
        })
    }
}

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "nothing".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_are_compared_as_sets() {
        for (expect, at_least, found, told) in [
            (&["10.0.0.2", "10.0.0.1"][..], None, &["10.0.0.1", "10.0.0.2"][..], None),
            (&["::1"], None, &["0:0::1"], None),
            (&["10.0.0.1"], None, &["10.0.0.2"], Some("10.0.0.1 missing, 10.0.0.2 not expected")),
            (&["10.0.0.1"], None, &["10.0.0.1", "10.0.0.2"], Some("10.0.0.2 not expected")),
            (&[], None, &["10.0.0.1"], None),
            (&[], None, &[], Some("0 addresses (nothing), not 1 or more")),
            (&[], Some(2), &["10.0.0.1"], Some("1 addresses (10.0.0.1), not 2 or more")),
            (&[], Some(2), &["10.0.0.1", "::1"], None),
        ] {
            let spec = DnsSpec { name: "x".into(), expect: addresses(expect), at_least };
            let difference = spec.difference(&addresses(found));
            match told {
                None => assert_eq!(difference, None),
                Some(part) => assert!(
                    difference.as_ref().is_some_and(|text| text.contains(part)),
                    "{difference:?}"
                ),
            }
        }
    }
}
