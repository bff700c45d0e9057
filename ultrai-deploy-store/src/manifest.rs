//! Manifests: the one small object that makes a backup exist.
//!
//! ```text
//! ultrai backup 1 <SHA-256 of the rest>
//! {"backup": …, "target": …, "encryption": …, "packs": {…}}
//! backup and recipes: JSON, compressed, encrypted where there are recipients
//! ```
//!
//! The head says without any key which packs a backup needs, so that housekeeping never needs one.

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    backup::{Backup, Part},
    digest,
    name::{BackupId, Target},
};
use uuid::Uuid;

use crate::{
    crypt::{Encryption, Refusal},
    recipe::Recipe,
};

const MAGIC: &str = "ultrai backup ";
/// Version of the format.
const FORMAT: u16 = 1;
const LEVEL: i32 = 3;
/// No manifest is longer: that is more than a hundred thousand parts.
pub(crate) const MAX_MANIFEST: usize = 64 << 20;

/// What can be read without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) backup: BackupId,
    pub(crate) target: Target,
    /// Whom it is encrypted for, as [`Encryption::fingerprint`]; nothing when it is not.
    pub(crate) encryption: Option<String>,
    /// The table of its packs, an object among the packs.
    pub(crate) packs: TableRef,
}

/// Where the table of a backup's packs is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableRef {
    pub(crate) name: Uuid,
    pub(crate) length: u64,
    pub(crate) sha256: String,
}

/// What a backup is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) backup: Backup,
    /// Of each part, in their order.
    pub(crate) recipes: Vec<Recipe>,
}

/// A manifest that is whole; its body may still be locked.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) head: Head,
    body: Vec<u8>,
}

/// Why a manifest cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Damaged(String),
    /// A newer version of this program wrote it.
    Newer(String),
    /// None of the identities fits, or there is none.
    Locked,
}

impl Body {
    /// A part and its recipe.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&Part, &Recipe)> {
        self.backup.parts.iter().zip(&self.recipes)
    }
}

impl Manifest {
    pub(crate) fn encode(
        head: &Head,
        body: &Body,
        encryption: Option<&Encryption>,
    ) -> Result<Vec<u8>, String> {
        let json = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        if json.len() > MAX_MANIFEST {
            return Err(format!("its manifest would have {} bytes", json.len()));
        }
        let mut packed = zstd::bulk::compress(&json, LEVEL).map_err(|error| error.to_string())?;
        if let Some(encryption) = encryption {
            packed = encryption.seal(&packed)?;
        }
        let mut rest = serde_json::to_vec(head).map_err(|error| error.to_string())?;
        rest.push(b'\n');
        rest.append(&mut packed);
        let mut bytes = format!("{MAGIC}{FORMAT} {}\n", digest::sha256(&rest)).into_bytes();
        bytes.append(&mut rest);
        Ok(bytes)
    }

    /// Reads the manifest of backup `id` of `target`.
    pub(crate) fn decode(bytes: &[u8], target: &Target, id: &BackupId) -> Result<Self, Unreadable> {
        let damaged = |why: &str| Unreadable::Damaged(why.to_owned());
        let (first, rest) = split(bytes).ok_or_else(|| damaged("it has no head"))?;
        let first = std::str::from_utf8(first).map_err(|_| damaged("its first line is no text"))?;
        let words = first.strip_prefix(MAGIC).and_then(|words| words.split_once(' '));
        let (format, sha256) = words.ok_or_else(|| damaged("its first line is another one"))?;
        let whole = digest::sha256(rest) == sha256;
        match format.parse::<u16>() {
            Ok(FORMAT) if whole => {}
            Ok(newer) if newer > FORMAT && whole => {
                return Err(Unreadable::Newer(format!("it has format {newer}")));
            }
            _ => return Err(damaged("it does not match its checksum")),
        }
        let (head, body) = split(rest).ok_or_else(|| damaged("its head has no end"))?;
        let head: Head = serde_json::from_slice(head)
            .map_err(|error| damaged(&format!("its head cannot be read: {error}")))?;
        if head.backup != *id || head.target != *target {
            let other = format!("it is that of backup {} of {}", head.backup, head.target);
            return Err(damaged(&other));
        }
        Ok(Self { head, body: body.to_vec() })
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.head.encryption.is_some()
    }

    pub(crate) fn body(&self, encryption: Option<&Encryption>) -> Result<Body, Unreadable> {
        let damaged = |why: String| Unreadable::Damaged(why);
        let packed = if self.is_encrypted() {
            let encryption = encryption.ok_or(Unreadable::Locked)?;
            &encryption.open(&self.body, MAX_MANIFEST, Vec::new()).map_err(
                |refusal| match refusal {
                    Refusal::Locked => Unreadable::Locked,
                    Refusal::Damaged(why) => damaged(why),
                },
            )?
        } else {
            &self.body
        };
        let json = expand(packed).map_err(damaged)?;
        let body: Body =
            serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
        let request = &body.backup.request;
        if request.id != self.head.backup || request.target != self.head.target {
            return Err(damaged(format!("it holds backup {} of {}", request.id, request.target)));
        }
        if body.backup.parts.len() != body.recipes.len() {
            return Err(damaged("it has not one recipe for each part".to_owned()));
        }
        Ok(body)
    }
}

/// A line without its end, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn expand(packed: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = zstd::Decoder::new(packed).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    let bound = MAX_MANIFEST as u64 + 1;
    decoder.take(bound).read_to_end(&mut json).map_err(|error| error.to_string())?;
    if json.len() > MAX_MANIFEST {
        return Err("it is longer than any manifest".to_owned());
    }
    Ok(json)
}
