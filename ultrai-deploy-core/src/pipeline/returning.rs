//! Putting data back.

use super::Driver;
use crate::error::{Error, ErrorKind, Result};

impl Driver {
    /// Puts the data back that goes back with the release.
    pub(super) async fn restore_before(&self) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "put data back", "not yet"))
    }
}
