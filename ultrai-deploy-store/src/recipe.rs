//! Recipes: which chunks, in which order, make up a part.
//!
//! A long recipe is a tree: its entries are stored as chunks, too, and the entries of these above
//! them, so that a manifest stays small and nobody ever holds more than a block of each level.

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::digest::hex;

use crate::chunk::{ENTRY, Entry, MAX_CHUNK};

/// Entries of a block.
const FAN_OUT: usize = 4096;
/// Entries that a manifest holds itself.
const INLINE: usize = 16;
/// Levels of blocks: 16 · 4096² chunks are more than 100 TiB.
const MAX_DEPTH: usize = 2;
const _: () = assert!(FAN_OUT * ENTRY <= MAX_CHUNK, "a block is a chunk");

/// The top of a recipe, as a manifest keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// How many levels of blocks are below it.
    depth: usize,
    /// Entries in hex.
    entries: String,
}

/// Builds a recipe from the chunks of a part in their order.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    levels: Vec<Vec<Entry>>,
}

/// A block that has to be stored; its entry belongs to the level above `level`.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) level: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Builder {
    /// Adds the entry of a chunk (level 0), or of a block of the level below.
    pub(crate) fn push(&mut self, level: usize, entry: Entry) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push(entry);
    }

    /// A block that is full.
    pub(crate) fn full_block(&mut self) -> Option<Block> {
        let level = self.levels.iter().position(|level| level.len() >= FAN_OUT)?;
        Some(self.take(level))
    }

    /// A block that has to be stored before the recipe can be finished.
    pub(crate) fn last_block(&mut self) -> Option<Block> {
        let lowest = self.levels.iter().position(|level| !level.is_empty())?;
        let is_top = lowest + 1 == self.levels.len();
        (!is_top || self.levels[lowest].len() > INLINE).then(|| self.take(lowest))
    }

    fn take(&mut self, level: usize) -> Block {
        let mut bytes = Vec::with_capacity(FAN_OUT * ENTRY);
        self.levels[level].drain(..).for_each(|entry| entry.encode(&mut bytes));
        Block { level, bytes }
    }

    /// The recipe, or nothing when the part is too long for one.
    pub(crate) fn finish(self) -> Option<Recipe> {
        let depth = self.levels.len().saturating_sub(1);
        let mut bytes = Vec::new();
        self.levels.last().into_iter().flatten().for_each(|entry| entry.encode(&mut bytes));
        (depth <= MAX_DEPTH).then(|| Recipe { depth, entries: hex(&bytes) })
    }
}

/// Walks the entries of a recipe in order.
#[derive(Debug)]
pub(crate) struct Walk {
    /// What is left of the blocks on the way down, deepest last.
    stack: Vec<std::vec::IntoIter<Entry>>,
    depth: usize,
}

/// What comes next in a recipe.
#[derive(Debug)]
pub(crate) enum Step {
    /// A chunk of the part.
    Chunk(Entry),
    /// A block, to be read and handed to [`Walk::enter`] before the next step.
    Block(Entry),
}

impl Walk {
    pub(crate) fn new(recipe: &Recipe) -> Result<Self, String> {
        if recipe.depth > MAX_DEPTH {
            return Err(format!("its recipe has {} levels", recipe.depth));
        }
        let entries = unhex(&recipe.entries)
            .and_then(|bytes| Entry::decode_all(&bytes))
            .ok_or("its recipe is no list of chunks")?;
        Ok(Self { stack: vec![entries.into_iter()], depth: recipe.depth })
    }

    pub(crate) fn next(&mut self) -> Option<Step> {
        loop {
            let level = self.stack.len();
            match self.stack.last_mut()?.next() {
                Some(entry) if level > self.depth => return Some(Step::Chunk(entry)),
                Some(entry) => return Some(Step::Block(entry)),
                None => {
                    self.stack.pop();
                }
            }
        }
    }

    /// Goes down into the block that was just met.
    pub(crate) fn enter(&mut self, block: &[u8]) -> Result<(), String> {
        let entries = Entry::decode_all(block).filter(|entries| !entries.is_empty());
        self.stack.push(entries.ok_or("a block of its recipe is no list of chunks")?.into_iter());
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ChunkId, Location};

    fn entry(number: u32) -> Entry {
        let at = Location { pack: 0, offset: number, length: 1 };
        Entry { id: ChunkId([7; 32]), at, size: 1 }
    }

    /// Builds and walks a recipe; returns its depth.
    fn round_trip(count: u32) -> usize {
        let (mut builder, mut blocks) = (Builder::default(), Vec::new());
        let mut store = |builder: &mut Builder, block: Block| {
            builder.push(block.level + 1, entry(u32::try_from(blocks.len()).unwrap()));
            blocks.push(block.bytes);
        };
        for number in 0..count {
            builder.push(0, entry(number));
            while let Some(block) = builder.full_block() {
                store(&mut builder, block);
            }
        }
        while let Some(block) = builder.last_block() {
            store(&mut builder, block);
        }
        let recipe = builder.finish().unwrap();
        let mut walk = Walk::new(&recipe).unwrap();
        let mut expected = 0;
        while let Some(step) = walk.next() {
            match step {
                Step::Block(entry) => walk.enter(&blocks[entry.at.offset as usize]).unwrap(),
                Step::Chunk(entry) => {
                    assert_eq!(entry.at.offset, expected);
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, count);
        recipe.depth
    }

    #[test]
    fn a_recipe_of_any_length_is_walked_in_order() {
        let depths = [0, 1, 16, 17, 4096, 4097, 16 * 4096, 16 * 4096 + 1, 100_000].map(round_trip);
        assert_eq!(depths, [0, 0, 0, 1, 1, 1, 1, 2, 2]);
    }
}
