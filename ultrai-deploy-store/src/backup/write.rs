//! Taking a backup: cut, look up, compress, pack, encrypt and store, all at the same time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

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
    chunk::{ChunkId, Entry, Location, Press},
    cut::{Chunk, Cutter, Whole, Window, Windows},
    index::{Index, Known},
    manifest::{Body, Head, Manifest, TableRef},
    pack::{Pack, PackRef},
    recipe::{Builder, Recipe},
};

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
    data: Option<Filling>,
    notes: Option<Filling>,
    presses: Vec<Press>,
    windows: Windows,
    /// Memory of packs that are stored.
    rooms: Vec<Vec<u8>>,
    storing: JoinSet<Result<Stored>>,
    parts: Vec<Part>,
    recipes: Vec<Recipe>,
}

/// A pack and its number in the table.
#[derive(Debug)]
struct Filling {
    number: u32,
    pack: Pack,
}

/// A pack that is stored, and its memory if it is ours again.
#[derive(Debug)]
struct Stored {
    number: u32,
    pack: PackRef,
    room: Option<Vec<u8>>,
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
    job: Option<JoinHandle<std::io::Result<Press>>>,
}

impl Writer {
    pub(crate) fn new(keeper: Keeper, known: Known) -> Self {
        Self {
            keeper,
            index: known.index,
            known: known.packs,
            used: HashMap::new(),
            table: Vec::new(),
            data: None,
            notes: None,
            presses: Vec::new(),
            windows: Windows::default(),
            rooms: Vec::new(),
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
        let mut window = read(&mut stream, self.windows.take()).await.map_err(unread)?;
        while !window.is_empty() {
            let cut = blocking(move || {
                let cut = cutter.push(window);
                (cutter, cut)
            });
            let (cut, next) = tokio::join!(cut, read(&mut stream, self.windows.take()));
            let (chunks, lent);
            (cutter, (chunks, lent)) = cut?;
            window = next.map_err(unread)?;
            self.windows.lend(lent);
            self.add(&mut recording, chunks).await?;
        }
        self.windows.lend(Arc::new(window));
        let (last, whole) = blocking(move || cutter.finish()).await?;
        self.add(&mut recording, last).await?;
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

    async fn add(
        &mut self,
        recording: &mut Recording,
        chunks: impl IntoIterator<Item = Chunk>,
    ) -> Result<()> {
        for chunk in chunks {
            while recording.queue.len() >= JOBS
                && let Some(queued) = recording.queue.pop_front()
            {
                self.settle(&mut recording.recipe, queued).await?;
            }
            let (id, size) = (chunk.id, narrow(chunk.bytes().len()));
            let job = if self.index.get(&id).is_some() {
                None
            } else {
                self.index.insert(id, PENDING);
                Some(self.compress(move |press| press.compress(chunk.bytes())))
            };
            recording.queue.push_back(Queued { id, size, job });
        }
        Ok(())
    }

    fn compress(
        &mut self,
        work: impl FnOnce(&mut Press) -> std::io::Result<()> + Send + 'static,
    ) -> JoinHandle<std::io::Result<Press>> {
        let press = self.presses.pop();
        tokio::task::spawn_blocking(move || {
            let mut press = press.map_or_else(Press::new, Ok)?;
            work(&mut press)?;
            Ok(press)
        })
    }

    /// Puts the chunk that comes next into a pack, if it is new, and into the recipe.
    async fn settle(&mut self, recipe: &mut Builder, queued: Queued) -> Result<()> {
        let Queued { id, size, job } = queued;
        let at = match job {
            None => self.find(&id)?,
            Some(job) => {
                let press = joined(job).await?.map_err(unpacked)?;
                let at = self.append(Kind::Data, press).await?;
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
        let (id, size) = (ChunkId::of(&block), narrow(block.len()));
        let job = self.compress(move |press| press.compress(&block));
        let press = joined(job).await?.map_err(unpacked)?;
        let at = self.append(Kind::Notes, press).await?;
        Ok(Entry { id, at, size })
    }

    /// Puts what was compressed last into a pack.
    async fn append(&mut self, kind: Kind, press: Press) -> Result<Location> {
        let filling = match kind {
            Kind::Data => self.data.take(),
            Kind::Notes => self.notes.take(),
        };
        let mut filling = filling.map_or_else(|| self.begin(), Ok)?;
        // Encryption takes its time, too.
        let (location, press, filling) = blocking(move || {
            let location = filling.pack.append(filling.number, press.compressed());
            (location, press, filling)
        })
        .await?;
        self.presses.push(press);
        if filling.pack.is_full() {
            self.store(filling).await?;
        } else {
            match kind {
                Kind::Data => self.data = Some(filling),
                Kind::Notes => self.notes = Some(filling),
            }
        }
        location.map_err(unpacked)
    }

    fn begin(&mut self) -> Result<Filling> {
        let number = narrow(self.table.len());
        let room = self.rooms.pop().unwrap_or_default();
        let pack = Pack::new(self.keeper.encryption.as_deref(), room).map_err(|why| {
            Error::new(ErrorKind::Unexpected, CREATE, "a pack cannot be encrypted").with_source(why)
        })?;
        self.table.push(None);
        Ok(Filling { number, pack })
    }

    /// Begins to store a pack, waiting while enough are being stored.
    async fn store(&mut self, filling: Filling) -> Result<()> {
        while self.storing.len() >= STORING {
            self.stored().await?;
        }
        let place = self.keeper.place.clone();
        self.storing.spawn(async move {
            let Filling { number, pack } = filling;
            let sealed = blocking(move || pack.seal()).await?.map_err(unpacked)?;
            let path = place.pack(sealed.reference.name);
            place.put(CREATE, &path, sealed.object.clone()).await?;
            let room = sealed.object.try_into_mut().ok().map(Vec::from);
            Ok(Stored { number, pack: sealed.reference, room })
        });
        Ok(())
    }

    async fn stored(&mut self) -> Result<()> {
        if let Some(stored) = self.storing.join_next().await {
            let Stored { number, pack, room } = stored.map_err(cut_off)??;
            self.table[number as usize] = Some(pack);
            self.rooms.extend(room);
        }
        Ok(())
    }

    /// Stores what is left, and the manifest at last.
    pub(crate) async fn finish(mut self, request: &BackupRequest) -> Result<Backup> {
        for filling in [self.data.take(), self.notes.take()].into_iter().flatten() {
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
        for pack in table {
            pack.encode(&mut bytes);
        }
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

/// Fills a window, or puts in what is left.
async fn read(stream: &mut PartStream, mut window: Window) -> std::io::Result<Window> {
    while !window.room().is_empty() {
        match stream.read(window.room()).await? {
            0 => break,
            length => window.fill(length),
        }
    }
    Ok(window)
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

fn unpacked(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, CREATE, "a chunk cannot be packed").with_source(error)
}

/// For lengths of chunks and numbers of packs, which are far below 2³².
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
