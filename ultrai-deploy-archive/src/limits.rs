//! How much an archive may hold.

/// How much an archive may hold. What is over is an error, before it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many entries; 2,000,000 by default. About 20 bytes of memory each are needed to notice
    /// what comes twice.
    pub entries: u64,
    /// How many bytes of content; 16 TiB by default.
    pub bytes: u64,
}

/// Longest name of an entry, and longest target of a link, in bytes: Linux takes no longer path.
pub(crate) const NAME: usize = 4095;
/// Longest part of a name between two `/`, in bytes.
pub(crate) const COMPONENT: usize = 255;
/// Longest extension of an entry, in bytes: names, times and extended attributes.
pub(crate) const EXTENSION: u64 = 256 << 10;
/// Most padding after the end, in bytes.
pub(crate) const PADDING: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, bytes: 16 << 40 }
    }
}
