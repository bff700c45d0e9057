//! The stored form.

use std::{collections::BTreeMap, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result, name::SecretName, verification::CheckSpec};
use ultrai_deploy_http::address::HttpUrl;

use crate::spec::{enough_time, fields, read};

/// What k6 gets to end by itself once its time is over, and to be read.
const SLACK: Duration = Duration::from_secs(1);

/// A script, and what it is given. Its own thresholds say whether it went well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct K6Spec {
    /// The text of the script; it may import nothing but modules of k6.
    pub script: String,
    /// Its name in reports; `script.js` by default.
    #[serde(default = "script_js")]
    pub name: String,
    /// What the script finds as `__ENV.BASE_URL`, without a `/` at the end; the address of the check's
    /// service where nothing is said, and nothing where the check names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// The port that the service itself listens on; may be left out where it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What else the script finds in `__ENV`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The same with the values of secrets, by the names of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, SecretName>,
    /// How long it may run before it is killed; 5 minutes by default.
    #[serde(default = "five_minutes", with = "compact::required")]
    pub duration_limit: Duration,
}

impl K6Spec {
    /// Reads the probe of a check; nothing when it is of another kind.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has a field that is not known or wrong.
    pub fn of(check: &CheckSpec) -> Result<Option<Self>> {
        let Some(fields) = fields(check, "k6")? else { return Ok(None) };
        let spec: Self = read(check, "k6", fields.clone())?;
        let name = &check.name;
        if spec.script.trim().is_empty() {
            return Err(invalid(format!("`{name}` has an empty script")).with_advice("write one"));
        }
        let odd = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if let Some(odd) = spec.env.keys().chain(spec.secret_env.keys()).find(|name| odd(name)) {
            let odd = odd.escape_debug();
            return Err(invalid(format!("`{odd}` of `{name}` is no name of a variable"))
                .with_advice("use letters, digits and _"));
        }
        if let Some(twice) = spec.env.keys().find(|name| spec.secret_env.contains_key(*name)) {
            return Err(invalid(format!("`{name}` sets {twice} in env and in secret_env"))
                .with_advice("remove it from one of them"));
        }
        if spec.url.is_some() && spec.port.is_some() {
            return Err(invalid(format!("`{name}` has both url and port"))
                .with_advice("write the port into the url"));
        }
        enough_time(check, spec.longest())?;
        Ok(Some(spec))
    }

    /// Longest time that one look takes. The check's own timeout has to be as long.
    pub fn longest(&self) -> Duration {
        self.duration_limit + SLACK
    }
}

fn script_js() -> String {
    "script.js".to_owned()
}

fn five_minutes() -> Duration {
    Duration::from_mins(5)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read a check", message).without_effect()
}
