//! Packs: objects of some MiB that hold compressed chunks in a row, encrypted as a whole where there
//! are recipients.

#[cfg(feature = "age")]
use std::io::Write as _;
use std::{fmt, io};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    chunk::{Location, MAX_CHUNK},
    crypt::{Encryption, Refusal},
};

/// A pack is closed when it is as long. About six of them are in memory at the same time, and each is
/// one request to a bucket.
pub(crate) const PACK: usize = 4 << 20;
/// No pack is longer, as the last chunk of one may be incompressible.
pub(crate) const MAX_PACK: usize = PACK + 2 * MAX_CHUNK;
/// More than the length that encryption adds to a pack.
const MAX_SEALED: usize = MAX_PACK + (1 << 20);

/// A pack that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackRef {
    pub(crate) name: Uuid,
    /// SHA-256 and length of the object.
    pub(crate) sha256: [u8; 32],
    pub(crate) length: u32,
    /// Length of the chunks in it.
    pub(crate) plain: u32,
}

/// A pack that is being filled, encrypted as it grows.
pub(crate) struct Pack {
    content: Content,
    length: usize,
}

enum Content {
    Plain(Vec<u8>),
    #[cfg(feature = "age")]
    Encrypted(Box<age::stream::StreamWriter<Vec<u8>>>),
}

/// A pack that is ready to be stored.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) reference: PackRef,
    pub(crate) object: Bytes,
}

impl Pack {
    /// An empty pack in `room`, which is memory that was used before or none.
    pub(crate) fn new(encryption: Option<&Encryption>, mut room: Vec<u8>) -> Result<Self, String> {
        room.clear();
        let content = match encryption {
            None => Content::Plain(room),
            #[cfg(feature = "age")]
            Some(encryption) => Content::Encrypted(Box::new(encryption.begin(room)?)),
            #[cfg(not(feature = "age"))]
            Some(encryption) => match *encryption {},
        };
        Ok(Self { content, length: 0 })
    }

    /// Puts a compressed chunk in; tells where, in pack `number`.
    pub(crate) fn append(&mut self, number: u32, bytes: &[u8]) -> io::Result<Location> {
        match &mut self.content {
            Content::Plain(content) => content.extend_from_slice(bytes),
            #[cfg(feature = "age")]
            Content::Encrypted(writer) => writer.write_all(bytes)?,
        }
        let offset = narrow(self.length);
        self.length += bytes.len();
        Ok(Location { pack: number, offset, length: narrow(bytes.len()) })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.length >= PACK
    }

    pub(crate) fn seal(self) -> io::Result<Sealed> {
        let object = Bytes::from(match self.content {
            Content::Plain(content) => content,
            #[cfg(feature = "age")]
            Content::Encrypted(writer) => writer.finish()?,
        });
        let reference = PackRef {
            name: Uuid::now_v7(),
            sha256: Sha256::digest(&object).into(),
            length: narrow(object.len()),
            plain: narrow(self.length),
        };
        Ok(Sealed { reference, object })
    }
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pack").field("length", &self.length).finish_non_exhaustive()
    }
}

impl PackRef {
    /// Length of a reference as it is stored.
    pub(crate) const LENGTH: usize = 16 + 32 + 4 + 4;

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.name.as_bytes());
        into.extend_from_slice(&self.sha256);
        into.extend_from_slice(&self.length.to_le_bytes());
        into.extend_from_slice(&self.plain.to_le_bytes());
    }

    /// References, if that is what the bytes are.
    pub(crate) fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (references, rest) = bytes.as_chunks::<{ Self::LENGTH }>();
        let all: Option<Vec<_>> = references.iter().map(Self::decode).collect();
        all.filter(|_| rest.is_empty())
    }

    /// Nothing when it is longer than a pack can be: a reader must not try to hold it.
    fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let (mut name, mut sha256, mut word) = ([0; 16], [0; 32], [0; 4]);
        name.copy_from_slice(&bytes[..16]);
        sha256.copy_from_slice(&bytes[16..48]);
        word.copy_from_slice(&bytes[48..52]);
        let length = u32::from_le_bytes(word);
        word.copy_from_slice(&bytes[52..56]);
        let plain = u32::from_le_bytes(word);
        let fits = length as usize <= MAX_SEALED && plain as usize <= MAX_PACK;
        fits.then_some(Self { name: Uuid::from_bytes(name), sha256, length, plain })
    }

    /// What an object holds, if it is the one that was stored, and memory that is free again. The
    /// plain text is put into `room` if it is another one than the object itself.
    pub(crate) fn open(
        &self,
        object: Vec<u8>,
        encryption: Option<&Encryption>,
        room: Vec<u8>,
    ) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let sha256: [u8; 32] = Sha256::digest(&object).into();
        if sha256 != self.sha256 || object.len() != self.length as usize {
            return Err(Refusal::Damaged("it is not what was stored".to_owned()));
        }
        let (plain, free) = match encryption {
            None => (object, room),
            Some(encryption) => (encryption.open(&object, self.plain as usize, room)?, object),
        };
        if plain.len() == self.plain as usize {
            return Ok((plain, free));
        }
        Err(Refusal::Damaged("its length differs from what was recorded".to_owned()))
    }
}

/// Packs are far shorter than 4 GiB: they are closed at [`PACK`], and a chunk is bounded, too.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
