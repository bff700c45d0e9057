//! Data that a release uses, changes, and can be put back to what it was.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{
    Context, ErrorKind,
    backup::{BackupSource, Content, PartStream},
    deployer::Step,
    error::{Error, Result},
    journal::{Event, Record},
    name::RunId,
    observer::Observer,
};

/// What a release that is switched to makes of the data.
pub(crate) const SPOILED: &str = "spoiled";

/// Two parts that belong together. A clone is the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    parts: BTreeMap<&'static str, String>,
    /// How many restores fail, each with half of a part written.
    failing_restores: u32,
    /// How many restores never come to their end.
    hanging_restores: u32,
    failing_reads: u32,
    /// How many reads never come to their end.
    hanging_reads: u32,
    /// Whether a read that did not come to its end has left the users of the disk stopped.
    stopped: bool,
    restores: u32,
}

impl Default for Disk {
    fn default() -> Self {
        let parts = ["orders", "users"].map(|name| (name, "empty".to_owned())).into();
        let inside = Inside {
            parts,
            failing_restores: 0,
            hanging_restores: 0,
            failing_reads: 0,
            hanging_reads: 0,
            stopped: false,
            restores: 0,
        };
        Self(Arc::new(Mutex::new(inside)))
    }
}

impl Disk {
    /// Makes both parts say the same.
    pub(crate) fn write(&self, what: &str) {
        self.0.lock().unwrap().parts.values_mut().for_each(|part| *part = what.to_owned());
    }

    /// What both say; nothing when they differ.
    pub(crate) fn content(&self) -> Option<String> {
        let inside = self.0.lock().unwrap();
        let mut parts = inside.parts.values();
        let first = parts.next()?;
        parts.all(|part| part == first).then(|| first.clone())
    }

    pub(crate) fn part(&self, name: &str) -> String {
        self.0.lock().unwrap().parts[name].clone()
    }

    pub(crate) fn restores(&self) -> u32 {
        self.0.lock().unwrap().restores
    }

    pub(crate) fn fail_restores(&self, times: u32) {
        self.0.lock().unwrap().failing_restores = times;
    }

    pub(crate) fn hang_restores(&self, times: u32) {
        self.0.lock().unwrap().hanging_restores = times;
    }

    pub(crate) fn fail_reads(&self, times: u32) {
        self.0.lock().unwrap().failing_reads = times;
    }

    pub(crate) fn hang_reads(&self, times: u32) {
        self.0.lock().unwrap().hanging_reads = times;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.lock().unwrap().stopped
    }

    fn set(&self, part: &str, content: &str) {
        if let Some(known) = self.0.lock().unwrap().parts.get_mut(part) {
            content.clone_into(known);
        }
    }
}

/// Whether one of so many that were planned happens now.
fn comes(planned: &mut u32) -> bool {
    let comes = *planned > 0;
    *planned = planned.saturating_sub(1);
    comes
}

fn failed(what: &str) -> Error {
    Error::new(ErrorKind::Io, "use the disk", what.to_owned())
}

#[async_trait]
impl BackupSource for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().parts.keys().map(|name| (*name).to_owned()).collect())
    }

    async fn read(&self, _: &Context, part: &str) -> Result<PartStream> {
        let (fails, hangs) = {
            let mut inside = self.0.lock().unwrap();
            let planned = (comes(&mut inside.failing_reads), comes(&mut inside.hanging_reads));
            inside.stopped |= planned.0 || planned.1;
            planned
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if fails {
            return Err(failed("it cannot be read"));
        }
        Ok(Box::pin(std::io::Cursor::new(self.part(part).into_bytes())))
    }

    async fn settle(&self, _: &Context) -> Result<()> {
        self.0.lock().unwrap().stopped = false;
        Ok(())
    }

    async fn restore(&self, _: &Context, part: &str, mut content: PartStream) -> Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text).await.map_err(|_| failed("the stream ended"))?;
        self.set(part, &format!("half of {text}"));
        tokio::task::yield_now().await;
        let (fails, hangs) = {
            let mut inside = self.0.lock().unwrap();
            (comes(&mut inside.failing_restores), comes(&mut inside.hanging_restores))
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if fails {
            return Err(failed("it is full"));
        }
        self.set(part, &text);
        self.0.lock().unwrap().restores += 1;
        Ok(())
    }
}

/// The release that is switched to spoils the data.
#[derive(Debug)]
pub(crate) struct Spoiler(pub(crate) Disk);

impl Observer for Spoiler {
    fn on_record(&self, _: &RunId, record: &Record) {
        if matches!(record.event, Event::Intent { step: Step::Switch, .. }) {
            self.0.write(SPOILED);
        }
    }

    fn on_output(&self, _: &RunId, _: &str, _: &str) {}
}

/// A source of another name.
#[derive(Debug)]
pub(crate) struct Other(pub(crate) Content);

#[async_trait]
impl BackupSource for Other {
    fn name(&self) -> &'static str {
        "other"
    }

    fn content(&self) -> Content {
        self.0
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        Ok(Box::pin(&b""[..]))
    }

    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Ok(())
    }
}
