//! Files that are encrypted with age.

use std::{collections::BTreeMap, fmt, io::Read, path::PathBuf};

use ::age::{DecryptError, Decryptor, Identity, IdentityFile, armor::ArmoredReader, scrypt};
use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};
use zeroize::Zeroizing;

use crate::{
    document::{Document, Format, Json, invalid},
    file::{Access, LIMIT, SecretFile, in_time},
};

/// The most work that a passphrase may take, as the power of two that age writes into the file: some
/// seconds. The file's author chooses it.
const MOST_WORK: u8 = 20;

/// Secrets in a file that is encrypted with age, armored or not: a dotenv file or JSON. It is read
/// once, when it is asked first.
///
/// Whoever reads the encrypted file learns nothing, so nothing is asked of its mode; the file with
/// the identity must be its owner's alone, as a dotenv file.
pub struct Age {
    file: SecretFile,
    key: Key,
    format: Format,
    variables: BTreeMap<String, String>,
    document: OnceCell<Document>,
}

#[derive(Clone)]
enum Key {
    Identity(SecretFile),
    Passphrase(Secret),
}

impl Age {
    /// The file at `path`, for one of the identities in the file at `identity`, as `age-keygen`
    /// writes it.
    pub fn with_identity(
        path: impl Into<PathBuf>,
        identity: impl Into<PathBuf>,
        format: Format,
    ) -> Self {
        Self::new(path.into(), Key::Identity(SecretFile::new(identity, Access::Private)), format)
    }

    /// The file at `path`, encrypted with a passphrase.
    pub fn with_passphrase(path: impl Into<PathBuf>, passphrase: Secret, format: Format) -> Self {
        Self::new(path.into(), Key::Passphrase(passphrase), format)
    }

    fn new(path: PathBuf, key: Key, format: Format) -> Self {
        // Armor makes it longer by a third, and the rest of age by little.
        let file = SecretFile { limit: 2 * LIMIT, ..SecretFile::new(path, Access::Any) };
        Self { file, key, format, variables: BTreeMap::new(), document: OnceCell::new() }
    }

    /// Sets the variables that values of a dotenv file may refer to, beside its own.
    pub fn with_variables(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = variables;
        self
    }

    async fn read(&self) -> Result<Document> {
        let encrypted = self.file.read().await?.ok_or_else(|| self.file.missing())?;
        let identities = match &self.key {
            Key::Passphrase(_) => None,
            Key::Identity(file) => Some(file.read().await?.ok_or_else(|| file.missing())?),
        };
        let (file, key) = (self.file.clone(), self.key.clone());
        let decrypt = move || decrypt(&file, &key, &encrypted, identities.as_ref());
        let text = in_time(&self.file.path, decrypt).await?;
        let what = self.file.path.display().to_string();
        match &self.format {
            Format::Json(pointer) => {
                Document::json(&Json::parse(text.as_bytes(), &what)?, pointer, &what)
            }
            Format::Dotenv => Document::dotenv(&text, &what, &self.variables),
            Format::Value => Err(invalid(format!("{what} holds several secrets and no value"))),
        }
    }
}

fn decrypt(
    file: &SecretFile,
    key: &Key,
    encrypted: &[u8],
    identities: Option<&Zeroizing<Vec<u8>>>,
) -> Result<Zeroizing<String>> {
    let failed = |error: DecryptError| {
        let (kind, message, advice) = match &error {
            // So it says of a wrong passphrase, too.
            DecryptError::DecryptionFailed if matches!(key, Key::Passphrase(_)) => (
                ErrorKind::Denied,
                "the passphrase is wrong, or it is no whole age file",
                "look at the variable that holds the passphrase",
            ),
            DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => (
                ErrorKind::Denied,
                "it is encrypted for somebody else",
                "use an identity that it is encrypted for, or the right passphrase",
            ),
            DecryptError::ExcessiveWork { .. } => (
                ErrorKind::Invalid,
                "its passphrase takes too much work",
                "encrypt it with an identity instead",
            ),
            _ => (ErrorKind::Corrupt, "it is no whole age file", "encrypt it anew"),
        };
        file.error(kind, message).with_advice(advice).with_source(error)
    };
    let identities: Vec<Box<dyn Identity>> = match (key, identities) {
        (Key::Passphrase(passphrase), _) => {
            let mut identity = scrypt::Identity::new(SecretString::from(passphrase.expose()));
            identity.set_max_work_factor(MOST_WORK);
            vec![Box::new(identity)]
        }
        (Key::Identity(of), bytes) => {
            let bytes = bytes.map_or(&[][..], |bytes| bytes.as_slice());
            // Not the source: it may show a line.
            let wrong = || of.error(ErrorKind::Invalid, "it holds no identity of age");
            let read = IdentityFile::from_buffer(bytes).map_err(|_| wrong())?;
            let read = read.into_identities().map_err(|_| wrong())?;
            if read.is_empty() {
                return Err(wrong());
            }
            read.into_iter().map(|identity| identity as Box<dyn Identity>).collect()
        }
    };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(encrypted)).map_err(failed)?;
    let identities = identities.iter().map(AsRef::as_ref);
    let reader = decryptor.decrypt(identities).map_err(failed)?;
    // With room for all, so that it does not grow and leave copies behind.
    let room = encrypted.len().min(LIMIT) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = reader.take(LIMIT as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(DecryptError::Io(error)))?;
    if bytes.len() > LIMIT {
        let message = format!("what is in it is longer than {LIMIT} bytes");
        return Err(file.error(ErrorKind::Invalid, &message));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| file.error(ErrorKind::Invalid, "what is in it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[async_trait]
impl SecretSource for Age {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let document = self.document.get_or_try_init(|| self.read()).await?;
        document.get(name.as_str(), &self.file.path.display().to_string())
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Age").field("path", &self.file.path).finish_non_exhaustive()
    }
}
