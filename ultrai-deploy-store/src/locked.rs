//! In place of encryption where it is not compiled in: what is encrypted cannot be read, and nothing
//! can be encrypted.

use ultrai_deploy_core::error::{Error, ErrorKind, Result};

/// Whom a store encrypts for: nobody can make one without the feature `age`.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it has no value, and never will")]
pub enum Encryption {}

/// Why something cannot be decrypted.
#[derive(Debug)]
pub(crate) enum Refusal {
    #[expect(dead_code, reason = "nothing is decrypted, so no key is missing")]
    Locked,
    Damaged(String),
}

impl Encryption {
    /// Always fails.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`].
    pub fn parse(_: &str, _: &[String]) -> Result<Self> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "read the encryption keys",
            "there is no encryption",
        )
        .with_advice("build this program with the feature `age` of ultrai-deploy-store")
        .without_effect())
    }

    /// Whether anything can be read.
    pub fn has_identity(&self) -> bool {
        match *self {}
    }

    pub(crate) fn fingerprint(&self) -> String {
        match *self {}
    }

    pub(crate) fn seal(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }

    pub(crate) fn open(&self, _: &[u8], _: usize, _: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        match *self {}
    }
}
