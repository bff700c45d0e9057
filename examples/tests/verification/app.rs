//! The sample application, which can be told to misbehave, and the checks of its deploys.

use std::{fs, path::Path, time::Instant};

use crate::shop::{Answer, Shop};

/// What can go wrong comes in by variables, so that one release has it and the other has not.
const COMPOSE: &str = r#"
services:
  backend:
    image: ultrai/backend:v${VERSION}
    ports: ["${BACKEND_PORT}:8085"]
    environment:
      MONGODB_URI: "${MONGODB_URI:-mongodb://mongodb:27017/ultrai}"
      REDIS_URI: redis://redis:6379/0
      OPENAI_API_KEY: "${OPENAI_API_KEY:-}"
      CLAUDE_API_KEY: "${CLAUDE_API_KEY:-}"
      COHERE_API_KEY: "${COHERE_API_KEY:-}"
      DEMO_SLOW_START: "${SLOW_START:-}"
      DEMO_NEVER_HEALTHY: "${NEVER_HEALTHY:-}"
      DEMO_CRASH_AFTER: "${CRASH_AFTER:-}"
      DEMO_FAIL_EVERY: "${FAIL_EVERY:-}"
      DEMO_SLOW_ANSWERS: "${SLOW_ANSWERS:-}"
      DEMO_WRONG_VERSION: "${WRONG_VERSION:-}"
    depends_on: [mongodb, redis]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8085/health"]
      interval: 500ms
      timeout: 5s
      retries: 3
      start_period: 30s
  mongodb: {image: "mongo:5.0"}
  redis: {image: "redis:6.2-alpine"}
"#;

/// What proves a release at the switch.
pub const SWITCH: &str = r#"
[[check]]
name = "health"
path = "/health"
json = { "/status" = "healthy" }
interval = "500ms"
[[check]]
name = "version"
path = "/api/v1/version"
version_at = "/version"
interval = "500ms"
# Later than the other: where nothing answers, that one says so.
deadline = "8s"
"#;

/// What it has to bear, before it is looked at more closely.
pub const GATE: &str = r#"
[[check]]
name = "load"
load = { path = "/api/models", rate = 100, warm_up = "500ms", duration = "3s", max_open = 600, require = ["error_rate < 1%", "p95_latency < 3s"] }
"#;

/// The verification tests of the deployment plan.
pub const SUITE: &str = r#"
[[check]]
name = "verification tests"
suite = { file = "checks.toml", tags = ["smoke"] }
"#;

pub struct App {
    pub shop: Shop,
    began: Instant,
}

impl App {
    /// Version 1.0.0 deployed with these checks, and well.
    pub fn well(checks: &str) -> Self {
        let app = Self::new(checks);
        let first = app.deploy("1.0.0", &[]).expect(0);
        let line = first_line(&first);
        assert!(
            line.starts_with("deploy of 1.0.0 to ") && line.contains(": succeeded ("),
            "{line}"
        );
        app
    }

    pub fn new(checks: &str) -> Self {
        let app = Self { shop: Shop::new(COMPOSE), began: Instant::now() };
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks.toml");
        fs::copy(suite, app.shop.path("checks.toml")).unwrap();
        app.configure("", checks);
        app
    }

    pub fn configure(&self, policy: &str, more: &str) {
        let (project, port) = (&self.shop.project, &self.shop.env["BACKEND_PORT"]);
        let text = format!(
            "project = \"{project}\"\n[policy]\nhealth_deadline = \"6s\"\n{policy}\n\
             [environments.production]\nbase_url = \"http://127.0.0.1:{port}\"\n{more}\n"
        );
        self.shop.write("deploy.toml", &text);
    }

    pub fn run(&self, words: &[&str]) -> Answer {
        self.shop.ultrai(&[words, &["-e", "production"]].concat())
    }

    /// Deploys a version with variables set, and gives the report for people.
    pub fn deploy(&self, version: &str, set: &[&str]) -> Answer {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let words: Vec<_> =
            ["deploy", "--tag", version, "--skip-build"].into_iter().chain(set).collect();
        self.run(&words)
    }

    /// Deploys 1.1.0 with a fault: it goes back in `stage`, the first line of its report has the `cause`,
    /// and 1.0.0 serves again.
    #[track_caller]
    pub fn goes_back(&self, fault: &[&str], stage: &str, cause: &[&str]) {
        let before = self.shop.containers(true);
        let answer = self.deploy("1.1.0", fault).expect(3);
        let line = first_line(&answer);
        println!("{fault:?} after {:?}: {line}", self.began.elapsed());
        assert!(
            line.starts_with("deploy of 1.1.0 to ") && line.contains(": rolled back ("),
            "{line}"
        );
        for part in cause {
            assert!(line.contains(part), "`{part}` is not in: {line}\n{}", answer.out);
        }
        let failed: Vec<_> = answer.out.lines().filter(|line| line.contains("FAILED (")).collect();
        assert_eq!(failed.len(), 1, "{}", answer.out);
        assert!(failed[0].trim().starts_with(stage), "{stage}: {}", failed[0]);
        assert!(answer.out.contains("Version 1.0.0 serves again"), "{}", answer.out);
        self.serves("1.0.0");
        let ids = |all: std::collections::BTreeMap<String, (String, String)>| -> Vec<_> {
            all.into_iter().map(|(name, (id, _))| (name, id)).collect()
        };
        assert_eq!(
            ids(self.shop.containers(true)),
            ids(before),
            "the same containers, and no other"
        );
    }

    pub fn kill_backend(&self) {
        self.shop.docker(&["kill", &format!("{}-backend-1", self.shop.project)]);
    }

    #[track_caller]
    pub fn serves(&self, version: &str) {
        let (code, body) = self.shop.http("BACKEND_PORT", "/api/v1/version").unwrap();
        assert_eq!((code, body), (200, format!("{{\"version\":\"v{version}\"}}")));
    }
}

pub fn first_line(answer: &Answer) -> &str {
    answer.out.lines().next().unwrap_or_default()
}
