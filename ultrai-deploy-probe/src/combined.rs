//! Several probes as one: all of them, any, or enough of them by weight.

mod tally;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Chain, Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe, Timing},
    name::SecretName,
    verification::CheckSpec,
};

use self::tally::{Outcome, Tally};
use crate::{
    finding::one_line,
    look::within,
    source::{Probes, wrong},
};

/// How many parts look at once where nothing else is said.
const AT_ONCE: usize = 16;
/// How deep combined probes may stand in each other.
const MAX_DEPTH: u32 = 4;
/// How many parts a combined probe may have, those of its parts included: each may keep evidence.
const MAX_PARTS: usize = 256;
/// How much evidence is kept of all parts together, in bytes; each has an equal share.
const MAX_EVIDENCE: usize = 64 * 1024;
/// Longest reason that is told of all parts together, in bytes.
const MAX_WHY: usize = 2000;

/// Several probes that are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinedSpec {
    /// The parts; they look side by side.
    pub of: Vec<Part>,
    /// How many of them have to be well; all by default.
    #[serde(default, skip_serializing_if = "Need::is_all")]
    pub need: Need,
    /// How many of them look at once; 16 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<NonZeroUsize>,
}

/// A part of a combined probe. It looks at the service of the check, or at an address of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name in reports; no other part has it.
    pub name: String,
    /// How much it counts; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<NonZeroU32>,
    /// Longest time of its look; a little less than that of the check by default, and never more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub timeout: Option<Duration>,
    /// Any probe, also a combined one, up to four deep.
    pub probe: Value,
}

/// How many of the parts have to be well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Need {
    /// Each of them (the default).
    #[default]
    All,
    /// One of them.
    Any,
    /// So many that their weights come to this.
    AtLeast(NonZeroU32),
}

impl Need {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_all(&self) -> bool {
        *self == Self::All
    }

    fn of(self, total: u64) -> u64 {
        match self {
            Self::All => total,
            Self::Any => 1,
            Self::AtLeast(weight) => weight.get().into(),
        }
    }
}

/// Where a combined probe stands in others, and how many parts there may still be.
#[derive(Debug)]
pub(crate) struct Nesting {
    depth: u32,
    left: usize,
}

impl Default for Nesting {
    fn default() -> Self {
        Self { depth: 0, left: MAX_PARTS }
    }
}

impl CombinedSpec {
    /// The secrets of all parts, each once.
    pub(crate) fn secrets(
        &self,
        check: &CheckSpec,
        probes: &Probes,
        nesting: &mut Nesting,
    ) -> Result<Vec<SecretName>> {
        let each =
            self.each(check, nesting, |part, nesting| probes.nested_secrets(part, nesting))?;
        let mut secrets = each.concat();
        secrets.sort();
        secrets.dedup();
        Ok(secrets)
    }

    /// Does something for each part as a check of its own, one level deeper.
    fn each<T>(
        &self,
        check: &CheckSpec,
        nesting: &mut Nesting,
        mut made: impl FnMut(&CheckSpec, &mut Nesting) -> Result<T>,
    ) -> Result<Vec<T>> {
        if nesting.depth == MAX_DEPTH {
            return Err(wrong(check, &format!("is combined more than {MAX_DEPTH} deep"))
                .with_advice("put parts of inner probes into outer ones"));
        }
        let Some(left) = nesting.left.checked_sub(self.of.len()) else {
            return Err(wrong(check, &format!("has more than {MAX_PARTS} parts"))
                .with_advice("make several checks of it"));
        };
        (nesting.left, nesting.depth) = (left, nesting.depth + 1);
        let all = self.of.iter().map(|part| made(&part.check(check), nesting)).collect();
        nesting.depth -= 1;
        all
    }

    fn total(&self) -> u64 {
        self.of.iter().map(Part::weight).sum()
    }
}

impl Part {
    fn weight(&self) -> u64 {
        self.weight.map_or(1, |weight| weight.get().into())
    }

    /// The part as a check of its own.
    fn check(&self, whole: &CheckSpec) -> CheckSpec {
        let most = within(whole.timing.timeout);
        let timeout = self.timeout.map_or(most, |own| own.min(most));
        let name = format!("{} / {}", whole.name, self.name);
        let mut check = CheckSpec::new(name, self.probe.clone())
            .with_timing(Timing { timeout, ..Timing::default() });
        check.service.clone_from(&whole.service);
        check
    }
}

/// A probe that has its parts look.
#[derive(Debug)]
pub(crate) struct Combined {
    spec: CombinedSpec,
    probes: Vec<(Arc<dyn HealthProbe>, Duration)>,
    timeout: Duration,
}

impl Combined {
    pub(crate) fn new(
        check: &CheckSpec,
        spec: CombinedSpec,
        probes: &Probes,
        nesting: &mut Nesting,
    ) -> Result<Self> {
        if spec.of.is_empty() {
            return Err(wrong(check, "combines nothing").with_advice("list parts in of"));
        }
        let mut names: Vec<&str> = spec.of.iter().map(|part| part.name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[one, next]| one == next) {
            return Err(wrong(check, &format!("has two parts named `{name}`"))
                .with_advice("give each part a name of its own"));
        }
        if spec.need.of(spec.total()) > spec.total() {
            return Err(wrong(check, "needs more than all of its parts weigh")
                .with_advice("lower at_least, or raise weights"));
        }
        let probes = spec.each(check, nesting, |part, nesting| {
            Ok((probes.nested(part, nesting)?, part.timing.timeout))
        })?;
        Ok(Self { spec, probes, timeout: check.timing.timeout })
    }

    /// What each part found, in their order.
    async fn look(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Result<Health>> {
        let end = Instant::now() + within(self.timeout);
        let at_once = self.spec.at_once.map_or(AT_ONCE, NonZeroUsize::get);
        let looks = self.probes.iter().enumerate().map(|(number, (probe, timeout))| {
            async move { (number, look_in_time(&**probe, cx, endpoint, *timeout, end).await) }
                .boxed()
        });
        let looks: Vec<BoxFuture<'_, _>> = looks.collect();
        let mut found: Vec<_> = stream::iter(looks).buffer_unordered(at_once).collect().await;
        found.sort_unstable_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, health)| health).collect()
    }

    fn judge(&self, found: Vec<Result<Health>>) -> Result<Health> {
        let total = self.spec.total();
        let mut tally = Tally::new(self.spec.need.of(total));
        let (mut evidence, mut reasons) = (Vec::new(), Vec::new());
        for (part, found) in self.spec.of.iter().zip(found) {
            let (outcome, why, seen) = match found {
                Ok(Health::Healthy(seen)) => (Outcome::Good, None, seen),
                Ok(Health::Pending { why, evidence }) => (Outcome::NotYet, Some(why), evidence),
                Ok(Health::Unhealthy { why, evidence }) => (Outcome::Bad, Some(why), evidence),
                Ok(Health::Dead { why, evidence }) => (Outcome::Dead, Some(why), evidence),
                Ok(Health::Inconclusive { why, evidence }) => {
                    (Outcome::Unclear, Some(why), evidence)
                }
                Ok(_) => (Outcome::Unclear, Some("its state is not known".to_owned()), Vec::new()),
                Err(error) => {
                    let text = Chain(&error).to_string();
                    let mut seen = error.evidence().to_vec();
                    seen.push(Evidence::new(EvidenceKind::Probe, &part.name, &text));
                    (Outcome::Unasked, Some(text), seen)
                }
            };
            tally.add(outcome, part.weight());
            reasons.extend(why.map(|why| format!("{}: {why}", part.name)));
            evidence.extend(seen.into_iter().map(|one| self.share(one)));
        }
        let why = format!(
            "{} of {total} are well, {} wanted: {}",
            tally.good(),
            tally.need(),
            reasons.join("; ")
        );
        let why = one_line(&why, MAX_WHY);
        Ok(match tally.verdict() {
            Outcome::Good => Health::Healthy(evidence),
            Outcome::NotYet => Health::Pending { why, evidence },
            Outcome::Bad => Health::Unhealthy { why, evidence },
            Outcome::Dead => Health::Dead { why, evidence },
            Outcome::Unclear => Health::Inconclusive { why, evidence },
            Outcome::Unasked => {
                return Err(Error::new(ErrorKind::Unavailable, "look at all parts", why)
                    .without_effect()
                    .retryable()
                    .with_evidence(evidence));
            }
        })
    }

    /// The end of what a part saw that is longer than its share. What a part measured is not what the
    /// check measured, so it is kept as the answer of a probe.
    fn share(&self, mut evidence: Evidence) -> Evidence {
        if evidence.kind == EvidenceKind::Measurement {
            evidence.kind = EvidenceKind::Probe;
        }
        let most = MAX_EVIDENCE / self.spec.of.len().max(1);
        if evidence.text.len() > most {
            let mut start = evidence.text.len() - most;
            while !evidence.text.is_char_boundary(start) {
                start += 1;
            }
            evidence.text = format!("…{}", &evidence.text[start..]);
        }
        evidence
    }
}

/// One part's look, which ends in its time and in that of the whole.
async fn look_in_time(
    probe: &dyn HealthProbe,
    cx: &Context,
    endpoint: &Endpoint,
    timeout: Duration,
    end: Instant,
) -> Result<Health> {
    let late = |why: String| Ok(Health::Unhealthy { why, evidence: Vec::new() });
    let now = Instant::now();
    if now >= end {
        return late("not looked at: the others took all the time".to_owned());
    }
    let until = (now + timeout).min(end);
    match tokio::time::timeout_at(until, probe.check(cx, endpoint)).await {
        Ok(found) => found,
        Err(_elapsed) => late(format!("no answer within {:?}", until - now)),
    }
}

#[async_trait]
impl HealthProbe for Combined {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let found = cx.bounded(async { Ok(self.look(cx, endpoint).await) }).await?;
        // A part that was cancelled says nothing about what it looked at.
        cx.check()?;
        self.judge(found)
    }
}
