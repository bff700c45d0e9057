//! What is stored already: chunks that the newest backups have are referred to, not stored again.

use std::collections::{HashMap, HashSet};

use ultrai_deploy_core::{
    error::{Chain, Result},
    name::{BackupId, Target},
};
use uuid::Uuid;

use crate::{
    backup::{CREATE, Keeper, Opened},
    chunk::{ChunkId, Location},
    pack::PackRef,
};

/// Chunks that are remembered: about 200 GiB of content in 15 MiB of memory. What is beyond them is
/// stored again.
const MAX_CHUNKS: usize = 400_000;
/// Backups that are looked at. A run may take one of everything and then one of its data alone.
const BASES: usize = 4;
/// A pack of which less than a quarter is still of use is left to die with its backups.
const LEAST_USE: u64 = 4;

/// Where chunks are. The numbers of packs are positions in [`Known::packs`].
///
/// Half of an id is kept: that two chunks share it is as likely as never, and the checksum of the
/// part would tell.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<[u8; 16], Location>);

/// What a new backup can refer to.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) index: Index,
    pub(crate) packs: Vec<PackRef>,
}

impl Index {
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Location> {
        self.0.get(&half(id)).copied()
    }

    /// Remembers a chunk, if there is room; says whether it did.
    pub(crate) fn insert(&mut self, id: ChunkId, location: Location) -> bool {
        let id = half(&id);
        let fits = self.0.len() < MAX_CHUNKS || self.0.contains_key(&id);
        if fits {
            self.0.insert(id, location);
        }
        fits
    }
}

fn half(id: &ChunkId) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&id.0[..16]);
    half
}

/// Looks through the newest backups that are encrypted for the same recipients. What cannot be read
/// costs space, not the backup.
pub(crate) async fn load(keeper: &Keeper, target: &Target) -> Result<Known> {
    if !keeper.can_read() {
        tracing::warn!("without an identity a backup is stored whole");
        return Ok(Known::default());
    }
    let present: HashMap<_, _> = keeper
        .place
        .list(CREATE, &keeper.place.packs())
        .await?
        .into_iter()
        .map(|found| (found.name, found.length))
        .collect();
    if present.is_empty() {
        return Ok(Known::default());
    }
    let marks = keeper.place.list(CREATE, &keeper.place.marks()).await?;
    let marked: HashSet<_> = marks.into_iter().map(|found| found.name).collect();
    let is_good = |pack: &PackRef| {
        let name = pack.name.to_string();
        present.get(&name) == Some(&u64::from(pack.length)) && !marked.contains(&name)
    };
    let mut loading = Loading::default();
    for id in newest(keeper, target).await? {
        if let Err(error) = loading.add(keeper, target, &id, is_good).await {
            tracing::warn!(backup = %id, error = %Chain(&error), "nothing of it is used again");
        }
    }
    Ok(loading.finish())
}

/// The newest backups for the same recipients.
async fn newest(keeper: &Keeper, target: &Target) -> Result<Vec<BackupId>> {
    let recipients = keeper.recipients();
    let mut all = Vec::new();
    for id in keeper.place.ids(CREATE).await? {
        match keeper.manifest(CREATE, target, &id).await {
            Ok(manifest) if manifest.head.encryption == recipients => {
                if let Ok(body) = keeper.body(CREATE, &manifest) {
                    all.push((body.backup.request.at, id));
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(backup = %id, error = %Chain(&error), "passed over"),
        }
    }
    all.sort_by(|a, b| b.cmp(a));
    Ok(all.into_iter().take(BASES).map(|(_, id)| id).collect())
}

#[derive(Debug, Default)]
struct Loading {
    known: Known,
    numbers: HashMap<Uuid, u32>,
    /// Bytes of each pack that are of use.
    used: Vec<u64>,
}

impl Loading {
    async fn add(
        &mut self,
        keeper: &Keeper,
        target: &Target,
        id: &BackupId,
        is_good: impl Fn(&PackRef) -> bool,
    ) -> Result<()> {
        let opened = Opened::open(keeper, CREATE, target, id).await?;
        let numbers: Vec<_> =
            opened.table.iter().map(|pack| is_good(pack).then(|| self.number(pack))).collect();
        let mut content = opened.reader();
        for number in 0..opened.body.recipes.len() {
            content.begin(number)?;
            while let Some(entry) = content.next_entry().await? {
                let number = numbers.get(entry.at.pack as usize).copied().flatten();
                let Some(pack) = number else { continue };
                let is_new = self.known.index.get(&entry.id).is_none();
                let at = Location { pack, ..entry.at };
                if is_new && self.known.index.insert(entry.id, at) {
                    self.used[pack as usize] += u64::from(entry.at.length);
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, pack: &PackRef) -> u32 {
        // A table has fewer packs than its bytes, which are bounded.
        let next = u32::try_from(self.known.packs.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(pack.name).or_insert_with(|| {
            self.known.packs.push(*pack);
            self.used.push(0);
            next
        })
    }

    fn finish(mut self) -> Known {
        let is_worth = |at: &Location| {
            let pack = at.pack as usize;
            self.used[pack] * LEAST_USE >= u64::from(self.known.packs[pack].plain)
        };
        self.known.index.0.retain(|_, at| is_worth(at));
        self.known
    }
}
