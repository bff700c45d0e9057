//! The engine: whether it answers, how old it is, what room it has, and what a release needs of it.

use std::{fmt, path::PathBuf, time::Duration};

use async_trait::async_trait;
use bollard::models::SystemInfo;
use serde::{Deserialize, Deserializer, Serialize, de};
use ultrai_deploy_core::{
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    health::Verdict,
    preflight::{Found, PreflightCheck},
    spec::ReleaseSpec,
};

use super::{features::Features, size::Size};
use crate::engine::{ApiVersion, Engine};

/// How long an engine may take to say what it is: it does so in milliseconds, or it is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of an engine. Nothing is, by default, but that it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSpec {
    /// The oldest Docker that will do: `20.10`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<EngineVersion>,
    /// What must be free where the engine keeps its data: images, volumes, logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<Size>,
    /// The memory that its host must have in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
}

/// A version of Docker: numbers with dots between them. What follows them is a distribution's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct EngineVersion(Vec<u64>);

impl EngineVersion {
    /// Reads `20.10` or `20.10.24+dfsg1`; nothing when it does not begin with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let numbers = text[..end].trim_end_matches('.').split('.').map(|part| part.parse().ok());
        numbers.collect::<Option<Vec<u64>>>().map(Self)
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl From<EngineVersion> for String {
    fn from(version: EngineVersion) -> Self {
        version.to_string()
    }
}

impl<'de> Deserialize<'de> for EngineVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format_args!("`{text}` is no version: write 20.10")))
    }
}

/// Looks at the engine that is deployed to.
#[derive(Debug)]
pub struct EngineCheck {
    engine: Engine,
    spec: EngineSpec,
    features: Features,
}

impl EngineCheck {
    /// A check of `engine`.
    pub fn new(engine: Engine, spec: EngineSpec) -> Self {
        Self { engine, spec, features: Features::default() }
    }

    /// Looks, too, whether the engine and its kernel have what `release` uses. An engine that has no
    /// limits for memory starts a container all the same, without one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the release is not one of this backend.
    pub fn with_release(mut self, release: &ReleaseSpec) -> Result<Self> {
        self.features = Features::of(release)?;
        Ok(self)
    }
}

#[async_trait]
impl PreflightCheck for EngineCheck {
    fn name(&self) -> &'static str {
        "docker engine"
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let at = self.engine.address();
        let ask = async { Ok::<_, Error>((self.engine.api().await?, self.engine.info().await?)) };
        let asked = async { Ok::<_, Error>(tokio::time::timeout(PATIENCE, ask).await) };
        let (api, info) = match cx.bounded(asked).await? {
            Ok(Ok(answer)) => answer,
            Ok(Err(error))
                if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unsupported) =>
            {
                let remedy =
                    error.advice().unwrap_or("start it: systemctl start docker").to_owned();
                return Ok(Found::bad(Chain(&error).to_string(), remedy));
            }
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => {
                return Ok(Found::bad(
                    format!("the engine at {at} does not answer within {PATIENCE:?}"),
                    "look at its log: journalctl -u docker",
                ));
            }
        };
        let mut list = List::default();
        self.version(&mut list, api, &info);
        self.memory(&mut list, &info);
        self.free(&mut list, &info).await?;
        self.features.check(&mut list, api, &info);
        Ok(list.into_found())
    }
}

impl EngineCheck {
    fn version(&self, list: &mut List, api: ApiVersion, info: &SystemInfo) {
        let text = info.server_version.as_deref().unwrap_or("of unknown version");
        let is = format!("Docker {text} (API {api}) answers at {}", self.engine.address());
        let Some(wanted) = &self.spec.version else { return list.good(is) };
        match EngineVersion::parse(text) {
            Some(own) if own >= *wanted => list.good(is),
            Some(_) => list.bad(
                format!("{is}, {wanted} is needed"),
                format!("update it to {wanted} or newer"),
            ),
            None => list.unknown(format!("{is}, {wanted} is needed"), "ask it: docker version"),
        }
    }

    fn memory(&self, list: &mut List, info: &SystemInfo) {
        let total = info.mem_total.and_then(|total| u64::try_from(total).ok()).map(Size::new);
        match (total, self.spec.memory) {
            (Some(total), Some(wanted)) if total < wanted => list.bad(
                format!("its host has {total} of memory, {wanted} are needed"),
                "give the host more memory, or the release smaller limits",
            ),
            (Some(total), _) => list.good(format!("its host has {total} of memory")),
            (None, Some(wanted)) => list.unknown(
                format!("the memory of its host is not known, {wanted} are needed"),
                "look there: free -h",
            ),
            (None, None) => {}
        }
    }

    async fn free(&self, list: &mut List, info: &SystemInfo) -> Result<()> {
        let root = info.docker_root_dir.clone().unwrap_or_default();
        let stat =
            if self.engine.is_local() && !root.is_empty() { room(&root).await } else { None };
        match (stat, self.spec.free) {
            (Some((free, all)), Some(wanted)) if free < wanted => list.bad(
                format!("{free} of {all} are free below {root}, {wanted} are needed"),
                "remove what nothing uses: docker system df shows it, docker image prune and \
                 docker builder prune remove it; or make the disk larger",
            ),
            (Some((free, all)), _) => list.good(format!("{free} of {all} are free below {root}")),
            (None, Some(wanted)) => list.unknown(
                format!("what is free where it keeps its data ({root}) is not known from here, {wanted} are needed"),
                format!("look there: df -h {root}"),
            ),
            (None, None) => list.good("what is free where it keeps its data is not known from here"),
        }
        Ok(())
    }
}

/// What is free on the file system of a directory, and its size; nothing when that cannot be told,
/// as where we run in a container and do not see the directory.
async fn room(directory: &str) -> Option<(Size, Size)> {
    let directory = PathBuf::from(directory);
    // A file system that hangs must not hang the program's thread.
    let stat =
        tokio::task::spawn_blocking(move || rustix::fs::statvfs(directory)).await.ok()?.ok()?;
    let size = |blocks: u64| Size::new(blocks.saturating_mul(stat.f_frsize));
    Some((size(stat.f_bavail), size(stat.f_blocks)))
}

/// Findings, of which the worst decides.
#[derive(Debug, Default)]
pub(super) struct List {
    bad: Vec<String>,
    unknown: Vec<String>,
    good: Vec<String>,
    remedies: Vec<String>,
}

impl List {
    pub(super) fn good(&mut self, what: impl Into<String>) {
        self.good.push(what.into());
    }

    pub(super) fn bad(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.bad.push(what.into());
        self.remedies.push(remedy.into());
    }

    pub(super) fn unknown(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.unknown.push(what.into());
        self.remedies.push(remedy.into());
    }

    /// What is wrong comes first.
    fn into_found(self) -> Found {
        let verdict = match (self.bad.is_empty(), self.unknown.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Pass,
        };
        let what: Vec<_> = [self.bad, self.unknown, self.good].concat();
        let mut found = Found::good(what.join("; "));
        found.verdict = verdict;
        found.remedy = (!self.remedies.is_empty()).then(|| self.remedies.join("; "));
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |text| EngineVersion::parse(text).unwrap();
        assert!(version("20.10.24+dfsg1") >= version("20.10"));
        assert!(version("9.1") < version("20.10"));
        assert!(version("26.1.5-rc.1") > version("26.1.4"));
        assert_eq!(EngineVersion::parse("dev"), None);
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let stored = json!({"version": "20.10", "free": "5GiB", "memory": "512MiB"});
        let spec: EngineSpec = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(spec).unwrap(), stored);
        for (wrong, says) in [
            (json!({"free": "much"}), "5GiB"),
            (json!({"version": "new"}), "20.10"),
            (json!({"fre": "5GiB"}), "unknown field `fre`"),
        ] {
            let error = serde_json::from_value::<EngineSpec>(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
