//! Encryption with [age](https://age-encryption.org): what is kept can be read with the `age` program
//! and an identity, too.

use std::fmt;

use crate::Sealing;
use ultrai_deploy_core::{
    digest,
    error::{Error, ErrorKind, Result},
    secret::Secret,
};

const PARSE: &str = "read the encryption keys";

/// Whom a store encrypts for, and what it decrypts with.
///
/// Everybody who knows a recipient can write something that decrypts: encryption hides what is kept,
/// it does not prove who wrote it.
#[derive(Clone)]
pub struct Encryption {
    identities: Vec<age::x25519::Identity>,
    recipients: Vec<age::x25519::Recipient>,
}

/// Why something cannot be decrypted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// None of the identities is one that it was encrypted for.
    Locked,
    /// It is not what was written.
    Damaged(String),
}

impl Encryption {
    /// A new identity, and it as the only recipient.
    pub fn generate() -> Self {
        let identity = age::x25519::Identity::generate();
        Self { recipients: vec![identity.to_public()], identities: vec![identity] }
    }

    /// Keys from the text of an identity file, as `age-keygen` writes it, and further recipients
    /// (`age1…`) that can decrypt as well. All identities of the file are tried when something is
    /// read, and are recipients. Without any identity there is nothing that can be read: only new
    /// backups can be taken, each of them whole.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the line but never quoting it.
    pub fn parse(identity_file: &str, recipients: &[String]) -> Result<Self> {
        let invalid = |message: String| {
            Error::new(ErrorKind::Invalid, PARSE, message)
                .with_advice("a key is made with `age-keygen -o key.txt`")
                .without_effect()
        };
        let mut identities = Vec::new();
        for (number, line) in identity_file.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse().map_err(|why| {
                let line = number + 1;
                invalid(format!("line {line} of the identity file is no identity of age: {why}"))
            })?;
            identities.push(identity);
        }
        let mut all: Vec<_> = identities.iter().map(age::x25519::Identity::to_public).collect();
        for recipient in recipients {
            let parsed: age::x25519::Recipient = recipient.trim().parse().map_err(|why| {
                invalid(format!("`{}` is no recipient of age: {why}", recipient.escape_default()))
            })?;
            all.push(parsed);
        }
        all.sort_by_key(ToString::to_string);
        all.dedup_by_key(|recipient| recipient.to_string());
        if all.is_empty() {
            return Err(invalid("there is neither an identity nor a recipient".to_owned()));
        }
        Ok(Self { identities, recipients: all })
    }

    /// Reads with the identities of another file, too; nothing is encrypted for them.
    ///
    /// # Errors
    /// As those of [`parse`](Self::parse).
    pub fn also_reading(mut self, identity_file: &str) -> Result<Self> {
        self.identities.extend(Self::parse(identity_file, &[])?.identities);
        Ok(self)
    }

    /// The text of an identity file with the identities: what has to be kept, elsewhere, to read
    /// anything back.
    pub fn identity_file(&self) -> Secret {
        use age::secrecy::ExposeSecret as _;
        let mut text = zeroize::Zeroizing::new(String::new());
        for identity in &self.identities {
            text.push_str("# public key: ");
            text.push_str(&identity.to_public().to_string());
            text.push('\n');
            text.push_str(identity.to_string().expose_secret());
            text.push('\n');
        }
        Secret::new(text.as_str())
    }

    /// Who can decrypt, as public keys.
    pub fn recipients(&self) -> Vec<String> {
        self.recipients.iter().map(ToString::to_string).collect()
    }

    /// Whether anything can be read.
    pub fn has_identity(&self) -> bool {
        !self.identities.is_empty()
    }

    /// Changes whenever the recipients do.
    pub(crate) fn fingerprint(&self) -> String {
        digest::sha256(self.recipients().join("\n").as_bytes())
    }

    /// Begins a stream that is encrypted into `room`.
    pub(crate) fn begin(
        &self,
        room: Vec<u8>,
    ) -> Result<age::stream::StreamWriter<Vec<u8>>, String> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor =
            age::Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?;
        encryptor.wrap_output(room).map_err(|error| error.to_string())
    }

    /// Encrypts a piece.
    pub(crate) fn seal(&self, piece: &[u8]) -> Result<Vec<u8>, String> {
        use std::io::Write as _;
        let mut writer = self.begin(Vec::new())?;
        writer.write_all(piece).map_err(|error| error.to_string())?;
        writer.finish().map_err(|error| error.to_string())
    }

    /// Decrypts what is at most `limit` bytes long into `plain`, which is memory that was used before
    /// or none.
    pub(crate) fn open(
        &self,
        sealed: &[u8],
        limit: usize,
        mut plain: Vec<u8>,
    ) -> Result<Vec<u8>, Refusal> {
        use std::io::Read as _;
        let damaged = |error: &dyn fmt::Display| Refusal::Damaged(error.to_string());
        let decryptor = age::Decryptor::new_buffered(sealed).map_err(|error| damaged(&error))?;
        let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => Refusal::Locked,
            other => damaged(&other),
        })?;
        // Its plain text is never longer than what is sealed.
        plain.clear();
        plain.reserve(limit.min(sealed.len()));
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        reader.take(bound).read_to_end(&mut plain).map_err(|error| damaged(&error))?;
        if plain.len() > limit {
            return Err(Refusal::Damaged("it is longer than recorded".to_owned()));
        }
        Ok(plain)
    }
}

impl Sealing for Encryption {
    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        Self::seal(self, plain)
            .map_err(|why| Error::new(ErrorKind::Unexpected, "encrypt", why).without_effect())
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        Self::open(self, sealed, sealed.len(), Vec::new()).map_err(|refusal| match refusal {
            Refusal::Locked => {
                let message = "it is encrypted for others than this identity";
                Error::new(ErrorKind::Denied, "decrypt", message)
                    .with_advice("give the identity that it was encrypted for")
                    .without_effect()
            }
            Refusal::Damaged(why) => {
                Error::new(ErrorKind::Corrupt, "decrypt", why).without_effect()
            }
        })
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("identities", &self.identities.len())
            .field("recipients", &self.recipients())
            .finish()
    }
}
