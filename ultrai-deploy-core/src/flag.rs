//! Feature flags: variables of the environment that switch something on or off.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the configuration of an environment says of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FlagState {
    /// It is switched on.
    On,
    /// It is switched off.
    Off,
    /// It says something else than on or off.
    Unclear,
    /// It says nothing of it.
    NotConfigured,
}

impl FlagState {
    /// What a value says: `true`, `1`, `on`, `yes`, or `false`, `0`, `off`, `no`, in any case.
    ///
    /// The value itself is not kept: where it is no flag it may be a secret that went astray.
    ///
    /// ```
    /// use ultrai_deploy_core::flag::FlagState;
    ///
    /// assert_eq!(FlagState::read(Some("Yes")), FlagState::On);
    /// assert_eq!(FlagState::read(Some("maybe")), FlagState::Unclear);
    /// assert_eq!(FlagState::read(None), FlagState::NotConfigured);
    /// ```
    pub fn read(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::NotConfigured };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Self::On,
            "false" | "0" | "off" | "no" => Self::Off,
            _ => Self::Unclear,
        }
    }

    /// Whether it is switched on or off.
    pub fn is_configured(self) -> bool {
        matches!(self, Self::On | Self::Off)
    }
}

impl fmt::Display for FlagState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unclear => "neither on nor off",
            Self::NotConfigured => "not configured",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_on_off_or_not_configured() {
        for (values, expected) in [
            (&["true", "TRUE", "1", "on", "On", "yes"][..], FlagState::On),
            (&["false", "0", "off", "No"], FlagState::Off),
            (&["", " true", "2", "enabled", "hunter2"], FlagState::Unclear),
        ] {
            for value in values {
                let state = FlagState::read(Some(value));
                assert_eq!(state, expected, "{value:?}");
                assert_eq!(state.is_configured(), expected != FlagState::Unclear);
            }
        }
    }
}
