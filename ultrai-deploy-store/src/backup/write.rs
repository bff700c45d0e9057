//! Taking a backup: cut, look up, compress, pack, encrypt and store, all at the same time.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::{
    io::AsyncReadExt as _,
    task::{JoinHandle, JoinSet},
};
use ultrai_deploy_core::{
    backup::{Backup, BackupRequest, Part, PartStream},
    digest::{self, hex},
    error::{Error, ErrorKind, Result},
};
use uuid::Uuid;

use super::{CREATE, Keeper, content::MAX_TABLE};
use crate::{
    chunk::{Chunk, ChunkId, Entry, Location, Press},
    cut::{Cutter, Whole},
    index::{Index, Known},
    manifest::{Body, Head, Manifest, TableRef},
    pack::{Pack, PackRef},
    recipe::{Builder, Recipe},
};

/// What is read at once.
const BLOCK: usize = 1 << 20;
/// Chunks that are compressed at the same time.
const JOBS: usize = 3;
/// Packs that are encrypted and stored at the same time.
const STORING: usize = 2;
/// Where a chunk is that is being compressed.
const PENDING: Location = Location { pack: u32::MAX, offset: 0, length: 0 };

/// A backup that is being taken.
#[derive(Debug)]
pub(crate) struct Writer {
    keeper: Keeper,
    /// Where chunks are. Its packs are those that are known from older backups, then our own.
    index: Index,
    known: Vec<PackRef>,
    /// Which number a known pack has in the table, if any chunk in it is used.
    used: HashMap<u32, u32>,
    table: Vec<Option<PackRef>>,
    data: Filling,
    notes: Filling,
    presses: Vec<Press>,
    storing: JoinSet<Result<(usize, PackRef)>>,
    parts: Vec<Part>,
    recipes: Vec<Recipe>,
}

/// A pack and its number in the table, once it has anything in it.
#[derive(Debug, Default)]
struct Filling {
    number: Option<u32>,
    pack: Pack,
}

/// The part that is being read.
#[derive(Debug, Default)]
struct Recording {
    recipe: Builder,
    queue: VecDeque<Queued>,
}

/// A chunk on its way into the recipe.
#[derive(Debug)]
struct Queued {
    id: ChunkId,
    size: u32,
    /// Nothing when it is stored already, or before this one in the queue.
    job: Option<JoinHandle<std::io::Result<(Press, Vec<u8>)>>>,
}

impl Writer {
    pub(crate) fn new(keeper: Keeper, known: Known) -> Self {
        Self {
            keeper,
            index: known.index,
            known: known.packs,
            used: HashMap::new(),
            table: Vec::new(),
            data: Filling::default(),
            notes: Filling::default(),
            presses: Vec::new(),
            storing: JoinSet::new(),
            parts: Vec::new(),
            recipes: Vec::new(),
        }
    }

    /// Stores a part.
    pub(crate) async fn part(
        &mut self,
        source: &str,
        name: &str,
        mut stream: PartStream,
    ) -> Result<()> {
        let unread = |error: std::io::Error| {
            let message = format!("part {name} of {source} cannot be read");
            Error::new(ErrorKind::Io, CREATE, message).with_source(error)
        };
        let mut recording = Recording::default();
        let mut cutter = Cutter::new();
        let mut block = read(&mut stream).await.map_err(unread)?;
        while !block.is_empty() {
            let cut = blocking(move || {
                let chunks = cutter.push(&block);
                (cutter, chunks)
            });
            let (cut, next) = tokio::join!(cut, read(&mut stream));
            let chunks;
            ((cutter, chunks), block) = (cut?, next.map_err(unread)?);
            self.add(&mut recording, chunks).await?;
        }
        let (chunks, whole) = blocking(move || cutter.finish()).await?;
        self.add(&mut recording, chunks).await?;
        self.end_part(source, name, &whole, recording).await
    }

    async fn end_part(
        &mut self,
        source: &str,
        name: &str,
        whole: &Whole,
        mut recording: Recording,
    ) -> Result<()> {
        while let Some(queued) = recording.queue.pop_front() {
            self.settle(&mut recording.recipe, queued).await?;
        }
        let mut recipe = recording.recipe;
        while let Some(block) = recipe.last_block() {
            let entry = self.note(block.bytes).await?;
            recipe.push(block.level + 1, entry);
        }
        let recipe = recipe.finish().ok_or_else(|| {
            let message = format!("part {name} of {source} is too long");
            Error::new(ErrorKind::Unsupported, CREATE, message)
        })?;
        self.recipes.push(recipe);
        self.parts.push(Part {
            source: source.to_owned(),
            name: name.to_owned(),
            size: whole.size,
            sha256: hex(&whole.sha256),
        });
        Ok(())
    }

    async fn add(&mut self, recording: &mut Recording, chunks: Vec<Chunk>) -> Result<()> {
        for chunk in chunks {
            while recording.queue.len() >= JOBS
                && let Some(queued) = recording.queue.pop_front()
            {
                self.settle(&mut recording.recipe, queued).await?;
            }
            let (id, size) = (chunk.id, narrow(chunk.bytes.len()));
            let job = if self.index.get(&id).is_some() {
                None
            } else {
                self.index.insert(id, PENDING);
                Some(self.compress(chunk.bytes))
            };
            recording.queue.push_back(Queued { id, size, job });
        }
        Ok(())
    }

    fn compress(&mut self, bytes: Vec<u8>) -> JoinHandle<std::io::Result<(Press, Vec<u8>)>> {
        let press = self.presses.pop();
        tokio::task::spawn_blocking(move || {
            let mut press = press.map_or_else(Press::new, Ok)?;
            let compressed = press.compress(&bytes)?;
            Ok((press, compressed))
        })
    }

    /// Puts the chunk that comes next into a pack, if it is new, and into the recipe.
    async fn settle(&mut self, recipe: &mut Builder, queued: Queued) -> Result<()> {
        let Queued { id, size, job } = queued;
        let at = match job {
            None => self.find(&id)?,
            Some(job) => {
                let (press, compressed) = joined(job).await?.map_err(uncompressed)?;
                self.presses.push(press);
                let at = self.append(Kind::Data, compressed).await?;
                if self.index.get(&id).is_some() {
                    let pack = at.pack.saturating_add(narrow(self.known.len()));
                    self.index.insert(id, Location { pack, ..at });
                }
                at
            }
        };
        recipe.push(0, Entry { id, at, size });
        while let Some(block) = recipe.full_block() {
            let entry = self.note(block.bytes).await?;
            recipe.push(block.level + 1, entry);
        }
        Ok(())
    }

    /// Where a chunk is that is stored already, by its pack's number in our table.
    fn find(&mut self, id: &ChunkId) -> Result<Location> {
        let lost = || Error::new(ErrorKind::Unexpected, CREATE, "a stored chunk was lost");
        let at = self.index.get(id).filter(|at| *at != PENDING).ok_or_else(lost)?;
        let Some(pack) = self.known.get(at.pack as usize) else {
            let pack = at.pack.checked_sub(narrow(self.known.len())).ok_or_else(lost)?;
            return Ok(Location { pack, ..at });
        };
        let next = narrow(self.table.len());
        let number = *self.used.entry(at.pack).or_insert_with(|| {
            self.table.push(Some(*pack));
            next
        });
        Ok(Location { pack: number, ..at })
    }

    /// Stores a block of a recipe.
    async fn note(&mut self, block: Vec<u8>) -> Result<Entry> {
        let Chunk { id, bytes } = Chunk::new(block);
        let size = narrow(bytes.len());
        let (press, compressed) = joined(self.compress(bytes)).await?.map_err(uncompressed)?;
        self.presses.push(press);
        let at = self.append(Kind::Notes, compressed).await?;
        Ok(Entry { id, at, size })
    }

    async fn append(&mut self, kind: Kind, bytes: Vec<u8>) -> Result<Location> {
        let filling = match kind {
            Kind::Data => &mut self.data,
            Kind::Notes => &mut self.notes,
        };
        let number = *filling.number.get_or_insert_with(|| {
            self.table.push(None);
            narrow(self.table.len() - 1)
        });
        let location = filling.pack.append(number, bytes);
        if filling.pack.is_full() {
            let full = std::mem::take(filling);
            self.store(full).await?;
        }
        Ok(location)
    }

    /// Begins to store a pack, waiting while enough are being stored.
    async fn store(&mut self, filling: Filling) -> Result<()> {
        let Some(number) = filling.number.filter(|_| !filling.pack.is_empty()) else {
            return Ok(());
        };
        while self.storing.len() >= STORING {
            self.stored().await?;
        }
        let keeper = self.keeper.clone();
        self.storing.spawn(async move {
            let encryption = keeper.encryption.clone();
            let sealed = blocking(move || filling.pack.seal(encryption.as_deref())).await?;
            let sealed = sealed.map_err(|why| {
                Error::new(ErrorKind::Unexpected, CREATE, "a pack cannot be encrypted")
                    .with_source(why)
            })?;
            let path = keeper.place.pack(sealed.reference.name);
            keeper.place.put(CREATE, &path, sealed.payload).await?;
            Ok((number as usize, sealed.reference))
        });
        Ok(())
    }

    async fn stored(&mut self) -> Result<()> {
        if let Some(stored) = self.storing.join_next().await {
            let (number, pack) = stored.map_err(cut_off)??;
            self.table[number] = Some(pack);
        }
        Ok(())
    }

    /// Stores what is left, and the manifest at last.
    pub(crate) async fn finish(mut self, request: &BackupRequest) -> Result<Backup> {
        let fillings = [std::mem::take(&mut self.data), std::mem::take(&mut self.notes)];
        for filling in fillings {
            self.store(filling).await?;
        }
        while !self.storing.is_empty() {
            self.stored().await?;
        }
        let table: Vec<_> = self.table.iter().flatten().copied().collect();
        let packs = self.store_table(&table).await?;
        self.all_there(&table, packs.name).await?;
        let head = Head {
            backup: request.id.clone(),
            target: request.target.clone(),
            encryption: self.keeper.recipients(),
            packs,
        };
        let backup = Backup { request: request.clone(), parts: self.parts };
        let body = Body { backup, recipes: self.recipes };
        let manifest = Manifest::encode(&head, &body, self.keeper.encryption.as_deref());
        let manifest = manifest.map_err(|why| {
            Error::new(ErrorKind::Unsupported, CREATE, "its manifest cannot be written")
                .with_source(why)
        })?;
        let path = self.keeper.place.manifest(&request.id);
        self.keeper.place.put(CREATE, &path, Bytes::from(manifest)).await?;
        Ok(body.backup)
    }

    async fn store_table(&self, table: &[PackRef]) -> Result<TableRef> {
        let mut bytes = Vec::with_capacity(table.len() * PackRef::LENGTH);
        table.iter().for_each(|pack| pack.encode(&mut bytes));
        if bytes.len() as u64 > MAX_TABLE {
            let message = format!("it would need {} packs", table.len());
            return Err(Error::new(ErrorKind::Unsupported, CREATE, message));
        }
        let (length, sha256) = (bytes.len() as u64, digest::sha256(&bytes));
        let reference = TableRef { name: Uuid::now_v7(), length, sha256 };
        let path = self.keeper.place.pack(reference.name);
        self.keeper.place.put(CREATE, &path, Bytes::from(bytes)).await?;
        Ok(reference)
    }

    /// A driver that lost its lease may have removed what nothing referred to yet.
    async fn all_there(&self, table: &[PackRef], name: Uuid) -> Result<()> {
        let place = &self.keeper.place;
        let found = place.list(CREATE, &place.packs()).await?;
        let lengths: HashMap<_, _> =
            found.into_iter().map(|found| (found.name, found.length)).collect();
        let gone = table
            .iter()
            .find(|pack| lengths.get(&pack.name.to_string()) != Some(&u64::from(pack.length)))
            .map(|pack| pack.name)
            .or_else(|| (!lengths.contains_key(&name.to_string())).then_some(name));
        let Some(gone) = gone else { return Ok(()) };
        let message = format!("pack {gone} was removed while the backup was taken");
        Err(Error::new(ErrorKind::Conflict, CREATE, message)
            .with_advice("something else deletes backups of this environment: see that it does not")
            .retryable())
    }
}

/// What a pack is of. Recipes are read without the data, so they are kept apart.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Data,
    Notes,
}

/// As much as a block, or what is left.
async fn read(stream: &mut PartStream) -> std::io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        let room = (BLOCK - block.len()) as u64;
        if stream.take(room).read_buf(&mut block).await? == 0 {
            break;
        }
    }
    Ok(block)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(cut_off)
}

async fn joined<T>(job: JoinHandle<T>) -> Result<T> {
    job.await.map_err(cut_off)
}

fn cut_off(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, CREATE, "it was cut off").with_source(error)
}

fn uncompressed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, CREATE, "a chunk cannot be compressed").with_source(error)
}

/// For lengths of chunks and numbers of packs, which are far below 2³².
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
