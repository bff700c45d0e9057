//! What every request obeys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of a [`Client`](crate::Client).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest time to connect, name resolution and TLS included; 5 s.
    pub connect_timeout: Duration,
    /// Longest time of a request, from its beginning to the last byte of the answer; 30 s. A
    /// request may ask for less, never for more.
    pub timeout: Duration,
    /// How many redirects are followed, and only within one origin; none by default: a probe
    /// that is sent elsewhere has not seen what it was told to look at.
    pub redirects: usize,
    /// Longest body that is read, in bytes; 1 MiB. The rest of a longer one is not read.
    pub body_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            redirects: 0,
            body_limit: 1024 * 1024,
        }
    }
}
