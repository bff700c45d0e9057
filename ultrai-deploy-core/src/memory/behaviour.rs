//! How a service of the memory world behaves, read from its definition.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// What a service's `config` may say. Keys that are not known are left alone, so that two
/// definitions can be made to differ by any of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Behaviour {
    /// `"fixed"`: only one instance can hold it, so the old one stops first.
    port: Value,
    /// Whether and when it gets healthy.
    pub(super) healthy: Healthy,
    /// How many looks find it still coming up.
    pub(super) healthy_after: u32,
    /// It exits right after its start.
    pub(super) dead: bool,
    /// `false`: starting it fails.
    pub(super) starts: bool,
    /// `false`: preflight refuses it.
    pub(super) supported: bool,
    /// Exit codes of tasks by name; 0 for others.
    pub(super) tasks: BTreeMap<String, i64>,
}

/// Whether and when a service gets healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Healthy {
    Always,
    Never,
    /// Until it is stopped: it does not survive a second start.
    Once,
    /// As long as it has no traffic.
    Staged,
}

impl<'de> Deserialize<'de> for Healthy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::Always),
            Value::Bool(false) => Ok(Self::Never),
            Value::String(text) if text == "once" => Ok(Self::Once),
            Value::String(text) if text == "staged" => Ok(Self::Staged),
            other => Err(serde::de::Error::custom(format!(
                "healthy is true, false, \"once\" or \"staged\", not {other}"
            ))),
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            port: Value::Null,
            healthy: Healthy::Always,
            healthy_after: 0,
            dead: false,
            starts: true,
            supported: true,
            tasks: BTreeMap::new(),
        }
    }
}

impl Behaviour {
    /// Reads a service's definition; `null` is the default.
    pub(super) fn read(config: &Value) -> Result<Self> {
        if config.is_null() {
            return Ok(Self::default());
        }
        Self::deserialize(config).map_err(|source| {
            Error::new(ErrorKind::Invalid, "read a service", "its definition is not understood")
                .without_effect()
                .with_source(source)
        })
    }

    pub(super) fn has_fixed_port(&self) -> bool {
        self.port == "fixed"
    }
}
