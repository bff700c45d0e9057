//! Closing what must not be readable in a bucket.

use std::fmt;

use ultrai_deploy_core::Result;

/// Encrypts what is kept, and decrypts it again.
pub trait Sealing: fmt::Debug + Send + Sync + 'static {
    /// Encrypts.
    ///
    /// # Errors
    /// When no recipient is known.
    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts, and checks that nobody has changed it.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`](ultrai_deploy_core::ErrorKind::Denied) without the key,
    /// [`ErrorKind::Corrupt`](ultrai_deploy_core::ErrorKind::Corrupt) for what was changed.
    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>>;
}
