//! Prism over Render's published description.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_http::{
    address::HttpUrl,
    api::{Call, Limits},
};
use ultrai_deploy_render::Client;
use ultrai_deploy_testkit::peer::{self, Peer};

use crate::round;

/// What Prism says of each request that it takes.
const TAKEN: &str = "Request received";
/// What it says of what is not as described, in requests and in answers.
const VIOLATION: &str = "Violation: ";

/// What no client can do right: the details of a service are those of exactly one kind of it, and
/// what is said of the kinds overlaps.
pub const OVERLAP: &str = "request.body.serviceDetails Request body property serviceDetails must \
    match exactly one schema in oneOf";

/// Whether something that is not as described is so in Render's own answers, too, as they are
/// recorded: what is null although nothing says that it may be, and kinds of services that overlap.
pub fn is_of_the_wire(violation: &str) -> bool {
    let Some(answer) = violation.strip_prefix("response.body") else { return violation == OVERLAP };
    let what = answer.split(' ').next().unwrap_or_default();
    let is_null = ["commit must be object", "finishedAt must be string"];
    // Told once for all kinds, and for what a static site has and no other kind.
    let overlaps = ["exactly one schema in oneOf", "'buildCommand'", "'publishPath'"];
    is_null.iter().any(|null| answer.ends_with(null))
        || what.ends_with("serviceDetails") && overlaps.iter().any(|one| answer.ends_with(one))
}

/// A path that there is nothing at.
const LAST: &str = "nothing-more";

/// Prism, running.
#[derive(Debug)]
pub struct Prism(Peer);

impl Prism {
    /// Answers with the examples of the description, and refuses what it does not allow; also its
    /// own examples, so it is not `strict` where these are wrong.
    pub async fn mock(is_strict: bool) -> Self {
        Self::start("mock", is_strict.then(|| "--errors".into()), None).await
    }

    /// Stands in front of `upstream`, and looks at what passes both ways.
    pub async fn proxy(upstream: &str) -> Self {
        Self::start("proxy", None, Some(upstream.into())).await
    }

    async fn start(mode: &str, flag: Option<OsString>, upstream: Option<OsString>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let script = "node_modules/@stoplight/prism-cli/dist/index.js";
        let mut arguments: Vec<OsString> =
            [mode, "--host", "127.0.0.1", "--port", "0", "--multiprocess", "false"]
                .map(Into::into)
                .into();
        arguments.extend(flag);
        arguments.push(description(&root).into());
        arguments.extend(upstream);
        Self(Peer::start(&peer::directory(&root).join(script), arguments).await)
    }

    /// A client that calls it. Nothing is tried twice: what is refused stays refused.
    pub fn client(&self, key: &str) -> Client {
        let (attempts, pause) = (1, Duration::from_millis(1));
        let limits = Limits { attempts, pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(self.0.address()).unwrap();
        Client::new(base, &Secret::new(key), limits).unwrap()
    }

    /// What came to it so far.
    pub async fn seen(&self) -> Seen {
        // What it says comes later than its answers: a last request, which it says something of, too.
        let last = Call::get("ask for the last time", [LAST]);
        let answer = self.client("rnd_hunter2").api().send(&round::context(), &last).await;
        assert!(answer.is_err(), "there is no such call");
        let is_last = |line: &String| line.contains(LAST) && line.contains(TAKEN);
        let whole = |lines: &[String]| {
            let end = lines.iter().position(is_last)?;
            Some(lines[..end].to_vec())
        };
        let said = self.0.wait_for("to say what came to it", whole).await;
        let violations = said.iter().filter_map(|line| line.split_once(VIOLATION));
        Seen {
            requests: said.iter().filter(|line| line.contains(TAKEN)).count(),
            violations: violations.map(|(_, violation)| violation.to_owned()).collect(),
        }
    }
}

/// What came to Prism.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many requests.
    pub requests: usize,
    /// What was not as described, in them and in their answers.
    pub violations: Vec<String>,
}

fn description(root: &Path) -> PathBuf {
    let beside = || root.join("../shared/contracts");
    let contracts = std::env::var_os("ULTRAI_CONTRACTS").map_or_else(beside, PathBuf::from);
    let file = contracts.join("render/render-openapi.json");
    assert!(
        file.is_file(),
        "{} is missing: set ULTRAI_CONTRACTS to the directory of contracts, or put it at \
         ../shared/contracts beside the repository",
        file.display()
    );
    file
}
