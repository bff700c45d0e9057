//! One entry of an archive, as it is after all extensions.

/// An entry that was found harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name without `.` and `/` that mean nothing; empty for the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, as the lowest 12 bits of a mode.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file of so many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// Another name of an entry before it.
    Hard(Vec<u8>),
    /// A symbolic link with this target, which is inside.
    Symbolic(Vec<u8>),
}
