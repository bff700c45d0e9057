//! What is kept of a snapshot: which one it is, of what.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{BackupSource, Content, PartStream},
    name::{BackupId, Target},
};

use super::{Object, Snapshot};

/// Version of a receipt's form.
const FORMAT: u16 = 1;
/// The largest receipt that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// What marks a snapshot as part of a backup: `ultrai shop/production 20260102T030405Z-0a1b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    target: Target,
    id: BackupId,
}

impl Label {
    /// That of a backup of an environment.
    pub fn new(target: &Target, id: &BackupId) -> Self {
        Self { target: target.clone(), id: id.clone() }
    }

    /// The backup.
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// The backup of `target` that a label names; nothing for a label of anybody else's.
    pub(super) fn read(text: &str, target: &Target) -> Option<BackupId> {
        let id = text.strip_prefix(&format!("ultrai {target} "))?;
        BackupId::new(id).ok()
    }

    /// Whether a snapshot carries it.
    pub(super) fn is_on(&self, snapshot: &Snapshot) -> bool {
        snapshot.label.as_deref() == Some(&*self.to_string())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ultrai {} {}", self.target, self.id)
    }
}

/// The content of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) format: u16,
    pub(super) backup: BackupId,
    pub(super) object: Object,
    pub(super) snapshot: Snapshot,
}

impl Receipt {
    pub(super) fn new(backup: &BackupId, object: Object, snapshot: Snapshot) -> Self {
        Self { format: FORMAT, backup: backup.clone(), object, snapshot }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|source| {
            failed(ErrorKind::Unexpected, "it has no JSON form".to_owned()).with_source(source)
        })
    }

    /// Reads the content of a part.
    pub(super) async fn read(part: &str, content: PartStream) -> Result<Self> {
        let mut bytes = Vec::new();
        content.take(MOST).read_to_end(&mut bytes).await.map_err(|source| {
            failed(ErrorKind::Io, format!("part {part} cannot be read")).with_source(source)
        })?;
        let damaged = |source| {
            failed(ErrorKind::Corrupt, format!("part {part} names no snapshot")).with_source(source)
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        if value.get("format").and_then(serde_json::Value::as_u64) > Some(u64::from(FORMAT)) {
            let message = format!("part {part} is of a newer form");
            return Err(failed(ErrorKind::Unsupported, message)
                .with_advice("use the newer version of this program that wrote it"));
        }
        serde_json::from_value(value).map_err(damaged)
    }
}

fn failed(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "read which snapshot a backup has", message).without_effect()
}

/// Gets the receipts out of a store, which gives parts to sources only.
#[derive(Debug)]
pub(super) struct Collector {
    name: &'static str,
    receipts: Mutex<Vec<Receipt>>,
}

impl Collector {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, receipts: Mutex::default() }
    }

    pub(super) fn into_receipts(self) -> Vec<Receipt> {
        self.receipts.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BackupSource for Collector {
    fn name(&self) -> &str {
        self.name
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _cx: &Context) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn read(&self, _cx: &Context, part: &str) -> Result<PartStream> {
        Err(failed(ErrorKind::NotFound, format!("there is no part {part}")))
    }

    async fn restore(&self, _cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let receipt = Receipt::read(part, content).await?;
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::name::{EnvironmentName, ProjectName};

    use super::*;

    fn target(project: &str) -> Target {
        Target::new(ProjectName::new(project).unwrap(), EnvironmentName::new("e").unwrap())
    }

    #[test]
    fn a_label_is_read_by_its_own_environment_only() {
        let id = BackupId::new("20260102T030405Z-0a1b").unwrap();
        let label = Label::new(&target("shop"), &id).to_string();
        assert_eq!(label, "ultrai shop/e 20260102T030405Z-0a1b");
        assert_eq!(Label::read(&label, &target("shop")), Some(id));
        for (text, of) in
            [(label.as_str(), "sho"), ("Manual", "shop"), ("ultrai shop/e a b", "shop")]
        {
            assert_eq!(Label::read(text, &target(of)), None, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_receipt_is_refused() {
        let read = async |text: &'static str| {
            Receipt::read("db", Box::pin(text.as_bytes())).await.unwrap_err().kind()
        };
        for text in ["", "{}", "[1]", r#"{"format":1,"backup":"../x"}"#] {
            assert_eq!(read(text).await, ErrorKind::Corrupt, "{text}");
        }
        assert_eq!(read(r#"{"format":2}"#).await, ErrorKind::Unsupported);
    }
}
