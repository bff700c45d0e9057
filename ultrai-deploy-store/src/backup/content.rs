//! Reading a backup: the chunks of its parts in order, checked and handed on.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::JoinHandle};
use ultrai_deploy_core::{
    digest::{self, hex},
    error::{Error, ErrorKind, Result},
    name::{BackupId, Target},
};

use super::{
    Keeper,
    packs::{Packs, Rooms},
};
use crate::{
    chunk::{ChunkId, Entry},
    manifest::Body,
    pack::PackRef,
    recipe::{Step, Walk},
};

/// Chunks that are expanded at the same time.
const JOBS: usize = 3;
/// Chunks that are looked at to find the next pack to load: more than a pack mostly has.
const AHEAD: usize = 64;
/// No table is longer: that is more than a million packs, 4 TiB.
pub(super) const MAX_TABLE: u64 = 64 << 20;

/// A backup that can be read.
#[derive(Debug)]
pub(crate) struct Opened {
    keeper: Keeper,
    operation: &'static str,
    pub(crate) body: Body,
    pub(crate) table: Arc<[PackRef]>,
}

impl Opened {
    pub(crate) async fn open(
        keeper: &Keeper,
        operation: &'static str,
        target: &Target,
        id: &BackupId,
    ) -> Result<Self> {
        let manifest = keeper.manifest(operation, target, id).await?;
        let body = keeper.body(operation, &manifest)?;
        let table = keeper.table(operation, id, &manifest.head.packs).await?.into();
        let keeper = keeper.clone().reading(manifest.is_encrypted());
        Ok(Self { keeper, operation, body, table })
    }

    pub(crate) fn reader(&self) -> Content<'_> {
        let packs = || Packs::new(self.keeper.clone(), self.operation, &self.table);
        Content { opened: self, data: packs(), notes: packs(), rooms: Rooms::default(), part: None }
    }

    /// Which part is bad.
    fn blame(&self, number: usize, why: Error) -> Error {
        let subject = self.body.backup.parts.get(number).map_or_else(String::new, |part| {
            let id = &self.body.backup.request.id;
            format!("part {} of {} in backup {id}", part.name, part.source)
        });
        if why.kind() == ErrorKind::Corrupt {
            return Error::new(ErrorKind::Corrupt, self.operation, format!("{subject} is damaged"))
                .with_source(why)
                .with_advice("use another backup");
        }
        Error::new(why.kind(), self.operation, format!("{subject} cannot be read")).with_source(why)
    }

    fn corrupt(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, self.operation, why)
    }
}

/// Reads parts, one after the other.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    opened: &'a Opened,
    data: Packs,
    /// Packs with recipes, so that they do not push out those with data.
    notes: Packs,
    rooms: Rooms,
    part: Option<Reading>,
}

/// The part that is read.
#[derive(Debug)]
struct Reading {
    walk: Walk,
    /// Bytes that are still to come.
    left: u64,
    ahead: VecDeque<Entry>,
    jobs: VecDeque<JoinHandle<Result<Vec<u8>>>>,
}

impl Content<'_> {
    /// Goes to the beginning of a part.
    pub(crate) fn begin(&mut self, number: usize) -> Result<()> {
        let body = &self.opened.body;
        let (part, recipe) =
            body.parts().nth(number).ok_or_else(|| self.opened.corrupt("there is no such part"))?;
        let walk =
            Walk::new(recipe).map_err(|why| self.opened.blame(number, self.opened.corrupt(why)))?;
        let (ahead, jobs) = (VecDeque::new(), VecDeque::new());
        self.part = Some(Reading { walk, left: part.size, ahead, jobs });
        Ok(())
    }

    /// Where the next chunk of the part is.
    pub(crate) async fn next_entry(&mut self) -> Result<Option<Entry>> {
        let Some(part) = &mut self.part else { return Ok(None) };
        loop {
            match part.walk.next() {
                Some(Step::Chunk(entry)) => {
                    // A part ends when its bytes do, so that no recipe can go on for ever.
                    let left = part.left.checked_sub(u64::from(entry.size));
                    let left = left.filter(|_| entry.size > 0);
                    part.left =
                        left.ok_or_else(|| self.opened.corrupt("its chunks are not its size"))?;
                    return Ok(Some(entry));
                }
                Some(Step::Block(entry)) => {
                    let block = self.notes.expand(entry, Vec::new()).await?;
                    let block = block.await.map_err(cut_off)??;
                    if ChunkId::of(&block) != entry.id {
                        return Err(self.opened.corrupt("its recipe is not what was stored"));
                    }
                    part.walk.enter(&block).map_err(|why| self.opened.corrupt(why))?;
                }
                None if part.left > 0 => {
                    return Err(self.opened.corrupt("its chunks are fewer than its size"));
                }
                None => return Ok(None),
            }
        }
    }

    /// The next chunk of the part.
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some(entry) = self.upcoming().await? {
            self.fill().await?;
            let job = self.data.expand(entry, self.rooms.take()).await?;
            let Some(part) = &mut self.part else { break };
            self.data.prefetch(part.ahead.iter().map(|entry| entry.at.pack));
            part.jobs.push_back(job);
            if part.jobs.len() >= JOBS {
                break;
            }
        }
        match self.part.as_mut().and_then(|part| part.jobs.pop_front()) {
            Some(job) => job.await.map_err(cut_off)?.map(Some),
            None => Ok(None),
        }
    }

    async fn upcoming(&mut self) -> Result<Option<Entry>> {
        match self.part.as_mut().and_then(|part| part.ahead.pop_front()) {
            Some(entry) => Ok(Some(entry)),
            None => self.next_entry().await,
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.part.as_ref().is_some_and(|part| part.ahead.len() < AHEAD) {
            let entry = self.next_entry().await?;
            match (&mut self.part, entry) {
                (Some(part), Some(entry)) => part.ahead.push_back(entry),
                _ => break,
            }
        }
        Ok(())
    }

    /// Reads a part and compares it with the manifest.
    pub(super) async fn check(&mut self, number: usize) -> Result<()> {
        let checked = self.hash(number).await;
        checked.map_err(|error| self.opened.blame(number, error).without_effect())
    }

    async fn hash(&mut self, number: usize) -> Result<()> {
        self.begin(number)?;
        let mut hash = Sha256::new();
        while let Some(bytes) = self.next().await? {
            hash.update(&bytes);
            self.rooms.give(bytes);
        }
        let part = self.opened.body.backup.parts.get(number);
        if part.is_some_and(|part| part.sha256 == hex(&hash.finalize())) {
            return Ok(());
        }
        Err(self.opened.corrupt("it differs from its checksum"))
    }

    /// Sends a part that was checked. Whoever receives it sees an error in place of an end when it
    /// cannot be read to its end.
    pub(super) async fn send(
        &mut self,
        number: usize,
        sender: mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<()> {
        let sent = self.send_all(number, &sender).await;
        if let Err(error) = &sent {
            // A source that has gone needs no error either.
            let _gone = sender.send(Err(io::Error::other(error.to_string()))).await;
        }
        sent.map_err(|error| self.opened.blame(number, error))
    }

    async fn send_all(
        &mut self,
        number: usize,
        sender: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<()> {
        self.begin(number)?;
        while let Some(bytes) = self.next().await? {
            let bytes = self.rooms.lend(bytes);
            if sender.send(Ok(bytes)).await.is_err() {
                // The source says itself why it stopped reading.
                break;
            }
        }
        Ok(())
    }
}

impl Keeper {
    /// The packs that a backup needs.
    pub(crate) async fn table(
        &self,
        operation: &'static str,
        id: &BackupId,
        reference: &crate::manifest::TableRef,
    ) -> Result<Vec<PackRef>> {
        let path = self.place.pack(reference.name);
        let damaged = |why: &str| {
            let message = format!("the table of packs of backup {id}, {path}, {why}");
            Error::new(ErrorKind::Corrupt, operation, message)
                .with_advice("use another backup")
                .without_effect()
        };
        let limit = reference.length.min(MAX_TABLE);
        let bytes = match self.place.get(operation, &path, limit).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            found => Some(found?.ok_or_else(|| damaged("is missing"))?),
        };
        let bytes = bytes.ok_or_else(|| damaged("is longer than it was"))?;
        let length = bytes.len() as u64;
        if length != reference.length || digest::sha256(&bytes) != reference.sha256 {
            return Err(damaged("is not what was stored"));
        }
        PackRef::decode_all(&bytes).ok_or_else(|| damaged("is no table"))
    }
}

fn cut_off(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "read a backup", "it was cut off").with_source(error)
}
