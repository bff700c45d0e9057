//! Checks that are written as they are stored: databases, names, providers, loads, suites.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};
use ultrai_deploy_core::{
    Result,
    health::Timing,
    name::SecretName,
    verification::{CheckSpec, ProbeSource, TaskSpec, When},
    version::Version,
};
use ultrai_deploy_http::{
    address::HttpUrl,
    suite::{self, Selection},
};
use ultrai_deploy_load::{
    k6::K6Spec,
    spec::{LoadSpec, TrafficSpec},
};

use super::{
    files::Root,
    reader::{Field, Table},
    stored::Written,
};

/// The kinds, by the name of their table. Those that look into containers are of the compose backend.
const KINDS: [&str; 15] = [
    "redis",
    "postgres",
    "mongodb",
    "dns",
    "tls",
    "llm",
    "pinecone",
    "combined",
    "prometheus",
    "load",
    "traffic",
    "k6",
    "exec",
    "container",
    "suite",
];
const OF_CONTAINERS: [&str; 2] = ["exec", "container"];
/// Those that send requests, to the environment's `base_url` where they name nothing else.
const REQUESTING: [&str; 3] = ["load", "traffic", "k6"];
/// Longest script of k6: it is stored with each release.
const MAX_SCRIPT: u64 = 1024 * 1024;
/// Longer than any look takes: the time of a check while it is not known yet.
const ENDLESS: Duration = Duration::from_hours(24 * 365);

/// A check of one of these kinds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Direct {
    pub(super) kind: &'static str,
    written: Written,
    spec: Map<String, Value>,
    suite: Option<Suite>,
    /// Whether the file says how long a look may take.
    is_timed: bool,
    /// Whether it says how long to wait.
    is_waited_for: bool,
}

/// What of these kinds a check has.
pub(super) enum Taken {
    None,
    /// Something that was refused.
    Wrong,
    One(Box<Direct>),
}

/// Tests of a file.
#[derive(Clone, Debug, PartialEq)]
struct Suite {
    file: suite::File,
    tags: BTreeSet<String>,
}

impl Direct {
    /// Takes the table of a kind, if there is one.
    pub(super) fn take(table: &mut Table<'_>, root: &Root) -> Taken {
        let found: Vec<_> =
            KINDS.into_iter().filter_map(|kind| Some((kind, table.take(kind)?))).collect();
        let Some(((kind, field), others)) = found.split_first() else { return Taken::None };
        for (other, field) in others {
            field.name_problem(
                format!("it is a {kind} check already"),
                format!("make two checks of it, one with {kind} and one with {other}"),
            );
        }
        let one = Self::read(kind, field, table, root).filter(|_| others.is_empty());
        one.map_or(Taken::Wrong, |one| Taken::One(Box::new(one)))
    }

    fn read(kind: &'static str, field: &Field<'_>, table: &Table<'_>, root: &Root) -> Option<Self> {
        let Some(Value::Object(mut spec)) = field.table().and_then(|_| field.json()) else {
            return None;
        };
        let suite = match kind {
            "suite" => Some(Suite::read(field, root)?),
            "k6" => {
                script(field, &mut spec, root)?;
                None
            }
            _ => None,
        };
        let (is_timed, is_waited_for) = (table.has("timeout"), table.has("deadline"));
        let written = Written::of(field);
        Some(Self { kind, written, spec, suite, is_timed, is_waited_for })
    }

    /// Whether it needs the environment's `base_url`.
    pub(super) fn needs_base_url(&self, has_service: bool) -> bool {
        let names_its_own =
            has_service || ["url", "port"].iter().any(|name| self.spec.contains_key(*name));
        REQUESTING.contains(&self.kind) && !names_its_own
    }

    /// One of a rule, whose fields are known; nothing when they are no table.
    pub(super) fn given(
        kind: &'static str,
        written: Written,
        spec: Value,
        is_timed: bool,
    ) -> Option<Self> {
        let Value::Object(spec) = spec else { return None };
        Some(Self { kind, written, spec, suite: None, is_timed, is_waited_for: false })
    }

    /// When it runs where nothing is said: what sends many requests comes when all else is proven, and
    /// rules are for watching.
    pub(super) fn usual(&self) -> When {
        match self.kind {
            "load" | "k6" | "suite" => When::Post,
            "traffic" => When::Watch,
            _ => When::Verify,
        }
    }

    /// Whether it looks into containers.
    pub(super) fn is_of_containers(&self) -> bool {
        OF_CONTAINERS.contains(&self.kind)
    }

    /// Where it is written.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// Fills in what is known of the check: its probe, and how long it takes.
    ///
    /// # Errors
    /// What its kind refuses.
    pub(super) fn fill(
        &self,
        mut check: CheckSpec,
        version: &Version,
        base: Option<&HttpUrl>,
    ) -> Result<CheckSpec> {
        if let Some(suite) = &self.suite {
            // Of commands only nothing is left to look at; who asks has skipped them.
            let Some(found) = suite.file.check(&suite.selection(version, base))? else {
                return Ok(check);
            };
            check.probe = found.probe;
            check.service = check.service.or(found.service);
            check.timing = self.timed(check.timing, found.timing.timeout, true);
            return Ok(check);
        }
        let mut spec = self.spec.clone();
        if let (true, Some(base)) = (self.needs_base_url(check.service.is_some()), base) {
            spec.insert("url".to_owned(), json!(base));
        }
        check.compares = spec.get("at_most_worse").is_some();
        check.probe = json!({ self.kind: spec });
        let timing = std::mem::take(&mut check.timing);
        check.timing.timeout = ENDLESS;
        let (longest, is_gate) = match self.kind {
            "load" => (LoadSpec::of(&check)?.map(|spec| spec.longest()), true),
            "traffic" => (TrafficSpec::of(&check)?.map(|spec| spec.longest()), false),
            "k6" => (K6Spec::of(&check)?.map(|spec| spec.longest()), true),
            _ => (None, false),
        };
        check.timing = match longest {
            Some(longest) => self.timed(timing, longest, is_gate),
            None => timing,
        };
        Ok(check)
    }

    /// What the file says of its time wins; a gate has one look.
    fn timed(&self, mut timing: Timing, longest: Duration, is_gate: bool) -> Timing {
        if !self.is_timed {
            timing.timeout = longest;
        }
        if is_gate && !self.is_waited_for {
            timing.deadline = Some(Duration::ZERO);
        }
        timing
    }

    /// The commands of its file.
    ///
    /// # Errors
    /// For a tag that no test has.
    pub(super) fn tasks(&self, version: &Version) -> Result<Vec<TaskSpec>> {
        match &self.suite {
            Some(suite) => suite.file.tasks(&suite.selection(version, None)),
            None => Ok(Vec::new()),
        }
    }

    /// Whether it has requests, or commands only.
    pub(super) fn has_requests(&self, version: &Version, base: Option<&HttpUrl>) -> Result<bool> {
        match &self.suite {
            Some(suite) => Ok(suite.file.suite(&suite.selection(version, base))?.is_some()),
            None => Ok(true),
        }
    }

    /// The secrets that `check`, made of it, needs.
    ///
    /// # Errors
    /// What its kind refuses.
    pub(super) fn secrets(
        &self,
        check: &CheckSpec,
        probes: &dyn ProbeSource,
    ) -> Result<Vec<SecretName>> {
        // No engine is known yet. What a command in a container needs is there.
        if self.is_of_containers() {
            return ultrai_deploy_docker::probes::validate(check).map(|()| Vec::new());
        }
        probes.probe(check)?;
        probes.secrets(check)
    }
}

impl Suite {
    fn read(field: &Field<'_>, root: &Root) -> Option<Self> {
        let mut table = field.table()?;
        let file = table.require("file", "write file = \"checks.toml\"");
        let tags = table.take("tags").map(|field| {
            let items = field.items("[\"smoke\"]");
            items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
        });
        let file = file.and_then(|field| {
            let path = root.existing_file(&field)?;
            suite::File::load(path)
                .map_err(|error| {
                    field.problem(error.message(), error.advice().unwrap_or("mend the file"));
                })
                .ok()
        });
        table.finish();
        Some(Self { file: file?, tags: tags.unwrap_or_default() })
    }

    fn selection(&self, version: &Version, base: Option<&HttpUrl>) -> Selection {
        Selection {
            tags: self.tags.clone(),
            base_url: base.cloned(),
            version: Some(version.clone()),
            ..Selection::default()
        }
    }
}

/// Puts the script of k6 that `file` names into the spec: it is stored with the release.
fn script(field: &Field<'_>, spec: &mut Map<String, Value>, root: &Root) -> Option<()> {
    let mut table = field.table()?;
    let Some(file) = table.take("file") else {
        if spec.contains_key("script") {
            return Some(());
        }
        field.problem("it names no script", "write file = \"smoke.js\"");
        return None;
    };
    let path = root.existing_file(&file)?;
    let is_small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_SCRIPT);
    let Some(text) = is_small.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
        file.problem("it is no text of at most 1 MiB", "name a script of k6");
        return None;
    };
    spec.remove("file");
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    spec.insert("script".to_owned(), json!(text));
    spec.entry("name").or_insert_with(|| json!(name.unwrap_or_default()));
    Some(())
}
