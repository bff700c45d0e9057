//! Packs that are read back, a few of them at a time.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinHandle;
use ultrai_deploy_core::error::{Chain, Error, ErrorKind, Result};

use super::Keeper;
use crate::{
    chunk::{self, Entry, Location},
    crypt::{Encryption, Refusal},
    pack::PackRef,
};

/// Packs that are held: what did not change is in old packs, what did in new ones.
const HELD: usize = 2;

/// The packs of a backup.
#[derive(Debug)]
pub(super) struct Packs {
    keeper: Keeper,
    operation: &'static str,
    table: Arc<[PackRef]>,
    /// The one that was used last comes last.
    held: VecDeque<(u32, Arc<Vec<u8>>)>,
    ahead: Option<(u32, Loading)>,
    rooms: Rooms,
}

/// A pack's plain text, and memory that is free. Ends with its owner.
#[derive(Debug)]
struct Loading(JoinHandle<Result<(Vec<u8>, Vec<u8>)>>);

/// Memory of packs and chunks, used again: an allocator would hold on to some of it in each thread.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    free: Vec<Vec<u8>>,
    /// Somebody may still read them.
    let_go: Vec<Arc<Vec<u8>>>,
}

/// Memory that is free again once everybody has read it.
#[derive(Debug)]
struct Lent(Arc<Vec<u8>>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Rooms {
    pub(super) fn give(&mut self, room: Vec<u8>) {
        self.free.extend(Some(room).filter(|room| room.capacity() > 0));
    }

    pub(super) fn lend(&mut self, room: Vec<u8>) -> Bytes {
        let room = Arc::new(room);
        self.let_go.push(Arc::clone(&room));
        Bytes::from_owner(Lent(room))
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let free = self.let_go.iter().position(|room| Arc::strong_count(room) == 1);
        let free = free.and_then(|at| Arc::try_unwrap(self.let_go.swap_remove(at)).ok());
        free.or_else(|| self.free.pop()).unwrap_or_default()
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Packs {
    pub(super) fn new(keeper: Keeper, operation: &'static str, table: &Arc<[PackRef]>) -> Self {
        let table = Arc::clone(table);
        Self {
            keeper,
            operation,
            table,
            held: VecDeque::new(),
            ahead: None,
            rooms: Rooms::default(),
        }
    }

    /// The plain text of a pack.
    async fn get(&mut self, number: u32) -> Result<Arc<Vec<u8>>> {
        if let Some(at) = self.held.iter().position(|(held, _)| *held == number) {
            self.held.make_contiguous()[at..].rotate_left(1);
        } else {
            let mut loading = match self.ahead.take_if(|(ahead, _)| *ahead == number) {
                Some((_, loading)) => loading,
                None => self.load(number)?,
            };
            if self.held.len() >= HELD {
                self.rooms.let_go.extend(self.held.pop_front().map(|(_, plain)| plain));
            }
            let loaded = (&mut loading.0).await.unwrap_or_else(|error| Err(cut_off(error)));
            let (plain, free) = loaded?;
            self.rooms.give(free);
            self.held.push_back((number, Arc::new(plain)));
        }
        self.held.back().map(|(_, plain)| Arc::clone(plain)).ok_or_else(|| self.lacks(number))
    }

    /// Begins to load the next pack that will be wanted, unless one is being loaded.
    pub(super) fn prefetch(&mut self, mut wanted: impl Iterator<Item = u32>) {
        let is_held = |number: &u32| self.held.iter().any(|(held, _)| held == number);
        if self.ahead.is_none()
            && let Some(number) = wanted.find(|number| !is_held(number))
        {
            // What is wrong with it is told when it is wanted.
            self.ahead = self.load(number).ok().map(|loading| (number, loading));
        }
    }

    fn load(&mut self, number: u32) -> Result<Loading> {
        let pack = *self.table.get(number as usize).ok_or_else(|| self.lacks(number))?;
        let (keeper, operation) = (self.keeper.clone(), self.operation);
        let is_encrypted = keeper.encryption.is_some();
        let rooms = [self.rooms.take(), if is_encrypted { self.rooms.take() } else { Vec::new() }];
        let load = load(keeper, operation, pack, rooms);
        #[expect(clippy::disallowed_methods, reason = "it is aborted when it is dropped")]
        Ok(Loading(tokio::task::spawn(load)))
    }

    fn lacks(&self, number: u32) -> Error {
        let message = format!("there is no pack {number} in the backup's table");
        Error::new(ErrorKind::Corrupt, self.operation, message)
    }

    /// The content of one chunk, on another thread.
    pub(super) async fn expand(
        &mut self,
        entry: Entry,
        room: Vec<u8>,
    ) -> Result<JoinHandle<Result<Vec<u8>>>> {
        let plain = self.get(entry.at.pack).await?;
        let operation = self.operation;
        Ok(tokio::task::spawn_blocking(move || {
            let content = slice(&plain, entry.at).ok_or_else(|| "it is not in its pack".to_owned());
            content.and_then(|bytes| chunk::expand(bytes, entry.size, room)).map_err(|why| {
                let message = format!("chunk {:?} is damaged", entry.id);
                Error::new(ErrorKind::Corrupt, operation, message).with_source(why)
            })
        }))
    }
}

fn slice(plain: &[u8], at: Location) -> Option<&[u8]> {
    let start = at.offset as usize;
    plain.get(start..start.checked_add(at.length as usize)?)
}

async fn load(
    keeper: Keeper,
    operation: &'static str,
    pack: PackRef,
    [room, other]: [Vec<u8>; 2],
) -> Result<(Vec<u8>, Vec<u8>)> {
    let path = keeper.place.pack(pack.name);
    let object = keeper.place.get_into(operation, &path, u64::from(pack.length), room).await;
    let opened = match object {
        Ok(Some(object)) => {
            let encryption = keeper.encryption.clone();
            let open = move || pack.open(object, encryption.as_deref(), other);
            tokio::task::spawn_blocking(open).await.map_err(cut_off)?
        }
        Ok(None) => Err(Refusal::Damaged("it is missing".to_owned())),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            Err(Refusal::Damaged(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    match opened {
        Ok(plain) => Ok(plain),
        Err(Refusal::Locked) => {
            let message = format!("{path} is encrypted for an identity that is not here");
            Err(Error::new(ErrorKind::Denied, operation, message))
        }
        Err(Refusal::Damaged(why)) => {
            // So that the next backup stores what is in it again. Best effort: the damage itself is
            // what has to be told.
            let mark = keeper.place.mark(pack.name);
            if let Err(error) = keeper.place.put(operation, &mark, Bytes::new()).await {
                tracing::warn!(pack = %path, error = %Chain(&error), "cannot be marked as damaged");
            }
            let message = format!("{path} is damaged");
            Err(Error::new(ErrorKind::Corrupt, operation, message).with_source(why))
        }
    }
}

fn cut_off(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "read a backup", "it was cut off").with_source(error)
}

impl Keeper {
    /// The same for a backup that is not encrypted.
    pub(super) fn reading(mut self, is_encrypted: bool) -> Self {
        self.encryption = self.encryption.filter(|_: &Arc<Encryption>| is_encrypted);
        self
    }
}
