//! The statuses that count as fine.

use std::fmt;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// A set of HTTP statuses; 200 to 299 by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u16>", into = "Vec<u16>")]
pub struct StatusSet(Vec<u16>);

impl StatusSet {
    /// The set of `statuses`; 200 to 299 when there are none.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is not from 200 to 599: an informational answer is
    /// never the last one.
    pub fn new(statuses: Vec<u16>) -> Result<Self> {
        match statuses.iter().find(|status| !(200..=599).contains(*status)) {
            None => Ok(Self(statuses)),
            Some(status) => Err(Error::new(
                ErrorKind::Invalid,
                "read a status",
                format!("{status} is no final HTTP status"),
            )
            .with_advice("use numbers from 200 to 599")
            .without_effect()),
        }
    }

    /// Whether `status` is in it.
    pub fn contains(&self, status: u16) -> bool {
        if self.0.is_empty() { (200..=299).contains(&status) } else { self.0.contains(&status) }
    }

    /// Whether it is 200 to 299 because nothing else was said.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("200 to 299");
        }
        let numbers: Vec<_> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&numbers.join(" or "))
    }
}

impl TryFrom<Vec<u16>> for StatusSet {
    type Error = Error;
    fn try_from(statuses: Vec<u16>) -> Result<Self> {
        Self::new(statuses)
    }
}

impl From<StatusSet> for Vec<u16> {
    fn from(set: StatusSet) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_replaces_the_default() {
        assert!(StatusSet::default().contains(204));
        let set = StatusSet::new(vec![200, 401]).unwrap();
        assert!(set.contains(401) && !set.contains(204));
        assert_eq!(set.to_string(), "200 or 401");
        assert!(StatusSet::new(vec![100]).is_err());
    }
}
