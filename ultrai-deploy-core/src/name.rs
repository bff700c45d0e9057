//! Names and ids, parsed once, so that no path or label is ever built from an unchecked string.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// [`ErrorKind::Invalid`] when it is empty, longer than 128 bytes, does not begin
            /// with a letter, digit or `_`, or holds anything but letters, digits, `.`, `_`, `-`.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                check(&text, $what)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn check(text: &str, what: &str) -> Result<()> {
    let first = text.chars().next();
    let wrong = if text.is_empty() {
        Some("it is empty".to_owned())
    } else if text.len() > 128 {
        Some("it is longer than 128 bytes".to_owned())
    } else if !first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
        Some("it must begin with a letter, a digit or `_`".to_owned())
    } else {
        text.chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
            .map(|c| format!("`{}` is not allowed in it", c.escape_default()))
    };
    match wrong {
        None => Ok(()),
        Some(why) => Err(Error::new(
            ErrorKind::Invalid,
            "read a name",
            format!("`{}` is no {what}: {why}", text.escape_default()),
        )
        .with_advice("use letters, digits, `.`, `_` and `-`")
        .without_effect()),
    }
}

name!(
    /// The application: a compose project, a platform's project.
    ProjectName, "project name"
);
name!(
    /// Where a release goes: `development`, `staging`, `production`, any name.
    EnvironmentName, "environment name"
);
name!(
    /// One service of an application.
    ServiceName, "service name"
);
name!(
    /// The name of a secret, never its value.
    SecretName, "secret name"
);
name!(
    /// One run of the pipeline; ids of one host sort by time.
    RunId, "run id"
);
name!(
    /// A sealed release: the first 16 hex digits of the SHA-256 of its content.
    ReleaseId, "release id"
);
name!(
    /// One backup.
    BackupId, "backup id"
);

impl RunId {
    /// A new id (UUID version 7: it begins with the time, so listings are in order).
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    /// The last 12 characters, which hold no time: enough to tell runs of a project apart.
    pub fn short(&self) -> &str {
        let start = self.0.len().saturating_sub(12);
        self.0.get(start..).unwrap_or(&self.0)
    }
}

/// One application in one environment: what a lease protects and a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The application.
    pub project: ProjectName,
    /// The environment.
    pub environment: EnvironmentName,
}

impl Target {
    /// `project` in `environment`.
    pub fn new(project: ProjectName, environment: EnvironmentName) -> Self {
        Self { project, environment }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_a_directory() {
        for bad in ["", "..", "../x", "a/b", ".hidden", "-flag", "a b", "a\n"] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["web", "_x", "v1.2.3", "My-Service_2"] {
            assert_eq!(ServiceName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_bad_name_in_a_file_is_refused_when_read() {
        assert!(serde_json::from_str::<ReleaseId>("\"../../etc\"").is_err());
    }
}
