//! Secrets: named everywhere, valued only where a backend needs the value.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{error::Result, name::SecretName};

/// A secret value: redacted in `Debug`, zeroed when dropped, neither shown nor serialised.
///
/// ```compile_fail,E0277
/// println!("{}", ultrai_deploy_core::secret::Secret::new("shown"));
/// ```
///
/// ```compile_fail,E0277
/// serde_json::to_string(&ultrai_deploy_core::secret::Secret::new("written"));
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value. Call it where the value leaves for the backend, nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Values of a release's secrets.
pub type Secrets = BTreeMap<SecretName, Secret>;

/// Where secret values come from.
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync + 'static {
    /// The value of `name`, or nothing when this source does not have it.
    ///
    /// # Errors
    /// When the source cannot be asked.
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>>;
}

/// Tells that a secret changed without telling what it is: HMAC-SHA-256 under a key that stays in
/// the environment's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// The key under which an environment's fingerprints are made.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// A key from 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of a value; the name takes part, so that equal values do not show as equal.
    pub fn fingerprint(&self, name: &SecretName, secret: &Secret) -> Fingerprint {
        // HMAC pads a key to the hash's block of 64 bytes with zeros; doing it here cannot fail.
        let mut block = [0_u8; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(name.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(secret.expose().as_bytes());
        Fingerprint(crate::digest::hex(&mac.finalize().into_bytes()[..16]))
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let secret = Secret::new("hunter2-hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn a_fingerprint_changes_with_value_name_and_key() {
        let key = FingerprintKey::new([1; 32]);
        let name = SecretName::new("A").unwrap();
        let value = Secret::new("x");
        let print = key.fingerprint(&name, &value);
        assert_eq!(print, key.fingerprint(&name, &Secret::new("x")));
        assert_ne!(print, key.fingerprint(&name, &Secret::new("y")));
        assert_ne!(print, key.fingerprint(&SecretName::new("B").unwrap(), &value));
        assert_ne!(print, FingerprintKey::new([2; 32]).fingerprint(&name, &value));
    }
}
