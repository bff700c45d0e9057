//! A plan in a file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    current::{Current, Running, Serving},
    digest,
    error::{Error, ErrorKind, Result},
    name::{ReleaseId, ServiceName, Target},
    plan::Plan,
    release::Release,
    version::Version,
};

/// What the file says that it is.
const KIND: &str = "ultrai deploy plan";
/// Version of the file's form.
const FORMAT: u16 = 1;
/// The image id of an image that is not known before it is built or pulled.
pub(crate) const UNKNOWN_IMAGE: &str = "unknown";

/// A plan that can be kept and applied later: what would run, what it stands on, and what would be
/// done. No secret values: secrets are recognised by their fingerprints, whose key stays in the
/// environment's state.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedPlan {
    made: Timestamp,
    basis: Basis,
    digest: String,
}

/// What a plan stands on, by the names of the file's fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basis {
    /// The environment.
    pub(crate) target: Target,
    /// The release that would run, with [`UNKNOWN_IMAGE`] for the images of `unknown`.
    pub(crate) release: Release,
    /// The services whose images are built or pulled by the deploy.
    pub(crate) unknown: BTreeSet<ServiceName>,
    /// Whether images that are built were looked up in place of it.
    pub(crate) skip_build: bool,
    /// The release that serves.
    pub(crate) baseline: Option<ReleaseId>,
    /// What runs of each service.
    pub(crate) running: BTreeMap<ServiceName, Mark>,
    /// What would be done.
    pub(crate) plan: Plan,
}

/// What is recognised of a service that runs. Not which instances: one that was started again is
/// what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) image: Option<String>,
    pub(crate) spec_hash: Option<String>,
    pub(crate) up: bool,
    pub(crate) instances: usize,
    pub(crate) takes_over: Vec<String>,
}

impl Mark {
    fn of(running: &Running) -> Self {
        let mut takes_over = running.takes_over.clone();
        takes_over.sort();
        Self {
            image: running.image.as_ref().map(|image| image.id.clone()),
            spec_hash: running.spec_hash.clone(),
            up: running.up,
            instances: running.instances.len(),
            takes_over,
        }
    }
}

/// What serves, in the form in which it is recognised.
pub(crate) fn marks(current: &Current) -> (Option<ReleaseId>, BTreeMap<ServiceName, Mark>) {
    let serving = match &current.serving {
        Serving::Nothing => None,
        Serving::Release(id) => Some(id.clone()),
        Serving::Unmanaged(found) => Some(found.id.clone()),
    };
    let running = current.services.iter().map(|(name, one)| (name.clone(), Mark::of(one)));
    (serving, running.collect())
}

impl SavedPlan {
    pub(crate) fn new(basis: Basis, made: Timestamp) -> Self {
        let digest = digest_of(&fields(&basis, made));
        Self { made, basis, digest }
    }

    pub(crate) fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The environment that it was made for.
    pub fn target(&self) -> &Target {
        &self.basis.target
    }

    /// The version that would run.
    pub fn version(&self) -> &Version {
        &self.basis.release.version
    }

    /// When it was made, by the wall clock of whoever made it.
    pub fn made(&self) -> Timestamp {
        self.made
    }

    /// Whether the deploy builds no images: those that are built were looked up for the plan.
    pub fn skips_build(&self) -> bool {
        self.basis.skip_build
    }

    /// Its identity: a digest of all that it says, kept in the journal of the run that applies it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text of the file: one JSON object.
    pub fn to_text(&self) -> String {
        let mut fields = fields(&self.basis, self.made);
        fields.insert("digest".to_owned(), Value::from(self.digest.as_str()));
        format!("{:#}\n", Value::Object(fields))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the field, for what is no plan, is damaged, or was written
    /// in a form that this version does not know.
    pub fn read(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|source| refuse("it is no JSON, or cut off").with_source(source))?;
        let Value::Object(mut map) = value else {
            return Err(refuse("it is no saved plan: not a JSON object"));
        };
        if map.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(refuse(format!("field `kind` is not \"{KIND}\": it is no saved plan")));
        }
        let format: u16 = field(&map, "format")?;
        if format != FORMAT {
            let message = format!("field `format` is {format}; this version reads {FORMAT}");
            return Err(refuse(message).with_advice("make the plan anew with this version"));
        }
        let basis = Basis {
            target: field(&map, "target")?,
            release: field(&map, "release")?,
            unknown: field(&map, "unknown")?,
            skip_build: field(&map, "skip_build")?,
            baseline: field(&map, "baseline")?,
            running: field(&map, "running")?,
            plan: field(&map, "plan")?,
        };
        let made = field(&map, "made")?;
        let digest: String = field(&map, "digest")?;
        map.remove("digest");
        if digest != digest_of(&map) {
            return Err(refuse("field `digest` does not fit the rest: it was changed or damaged"));
        }
        if !basis.release.is_intact() {
            return Err(refuse("field `release` does not match its id"));
        }
        Ok(Self { made, basis, digest })
    }
}

fn fields(basis: &Basis, made: Timestamp) -> Map<String, Value> {
    let mut fields = match digest::json(basis) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert("kind".to_owned(), Value::from(KIND));
    fields.insert("format".to_owned(), Value::from(FORMAT));
    fields.insert("made".to_owned(), digest::json(&made));
    fields
}

fn digest_of(fields: &Map<String, Value>) -> String {
    digest::of_json(&Value::Object(fields.clone()))
}

/// A field; one that may be nothing has to be there, too.
fn field<T: DeserializeOwned>(map: &Map<String, Value>, name: &str) -> Result<T> {
    let value = map.get(name).ok_or_else(|| refuse(format!("field `{name}` is missing")))?;
    T::deserialize(value)
        .map_err(|source| refuse(format!("field `{name}` cannot be read")).with_source(source))
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read the plan", message).without_effect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::name::{EnvironmentName, ProjectName};

    pub(in crate::preview) fn plan() -> SavedPlan {
        let project = ProjectName::new("shop").unwrap();
        let version = Version::parse("1.0.0").unwrap();
        let release = Release::new(project.clone(), version, BTreeMap::new()).unwrap();
        let plan = Plan {
            from: None,
            to: release.id.clone(),
            services: BTreeMap::new(),
            resources: vec!["network shop".into()],
            not_undoable: Vec::new(),
            unchanged: false,
        };
        let basis = Basis {
            target: Target::new(project, EnvironmentName::new("staging").unwrap()),
            release,
            unknown: BTreeSet::new(),
            skip_build: true,
            baseline: None,
            running: BTreeMap::new(),
            plan,
        };
        SavedPlan::new(basis, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_written_is_read() {
        let plan = plan();
        assert_eq!(SavedPlan::read(&plan.to_text()).unwrap(), plan);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let text = plan().to_text();
        let whole: Value = serde_json::from_str(&text).unwrap();
        let change = |name: &str, value: Value| {
            let mut changed = whole.clone();
            changed[name] = value;
            changed.to_string()
        };
        let gone = |name: &str| {
            let mut changed = whole.clone();
            changed.as_object_mut().unwrap().remove(name);
            changed.to_string()
        };
        let mut release = whole["release"].clone();
        release["version"] = json!("9.0.0");
        let mut cases = vec![
            ("no JSON", text[..text.len() / 2].to_owned()),
            ("not a JSON object", "[]".to_owned()),
            ("`kind`", json!({ "format": 1, "type": "terraform" }).to_string()),
            ("`format` is 2", change("format", json!(2))),
            ("`format` cannot be read", change("format", json!("1"))),
            ("`target`", change("target", json!("shop"))),
            ("`release` cannot be read", change("release", json!({}))),
            ("`digest` does not fit", change("release", release)),
            ("`digest` does not fit", change("skip_build", json!(false))),
            ("`digest` does not fit", change("more", json!(1))),
        ];
        for name in whole.as_object().unwrap().keys().filter(|name| *name != "kind") {
            cases.push(("is missing", gone(name)));
        }
        for (expected, text) in cases {
            let error = SavedPlan::read(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains(expected), "{expected}: {error}");
        }
    }
}
