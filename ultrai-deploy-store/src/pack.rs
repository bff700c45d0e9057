//! Packs: objects of some MiB that hold compressed chunks in a row, encrypted as a whole where there
//! are recipients.

use bytes::Bytes;
use object_store::PutPayload;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    chunk::{Location, MAX_CHUNK},
    crypt::{Encryption, Refusal},
};

/// A pack is closed when it is as long. Some of them are in memory at the same time, and each is one
/// request to a bucket.
pub(crate) const PACK: usize = 8 << 20;
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

/// A pack that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    chunks: Vec<Vec<u8>>,
    length: usize,
}

/// A pack that is ready to be stored.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) reference: PackRef,
    pub(crate) payload: PutPayload,
}

impl Pack {
    /// Puts a compressed chunk in; tells where.
    pub(crate) fn append(&mut self, pack: u32, bytes: Vec<u8>) -> Location {
        let location = Location { pack, offset: narrow(self.length), length: narrow(bytes.len()) };
        self.length += bytes.len();
        self.chunks.push(bytes);
        location
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.length >= PACK
    }

    pub(crate) fn seal(self, encryption: Option<&Encryption>) -> Result<Sealed, String> {
        let payload: PutPayload = match encryption {
            None => self.chunks.into_iter().map(Bytes::from).collect(),
            Some(encryption) => Bytes::from(encryption.seal(self.chunks)?).into(),
        };
        let mut hash = Sha256::new();
        payload.iter().for_each(|bytes| hash.update(bytes));
        let reference = PackRef {
            name: Uuid::now_v7(),
            sha256: hash.finalize().into(),
            length: narrow(payload.content_length()),
            plain: narrow(self.length),
        };
        Ok(Sealed { reference, payload })
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

    /// What an object holds, if it is the one that was stored.
    pub(crate) fn open(
        &self,
        object: Bytes,
        encryption: Option<&Encryption>,
    ) -> Result<Bytes, Refusal> {
        let sha256: [u8; 32] = Sha256::digest(&object).into();
        if sha256 != self.sha256 || object.len() != self.length as usize {
            return Err(Refusal::Damaged("it is not what was stored".to_owned()));
        }
        let plain = match encryption {
            None => object,
            Some(encryption) => Bytes::from(encryption.open(&object, self.plain as usize)?),
        };
        if plain.len() == self.plain as usize {
            return Ok(plain);
        }
        Err(Refusal::Damaged("its length differs from what was recorded".to_owned()))
    }
}

/// Packs are far shorter than 4 GiB: they are closed at [`PACK`], and a chunk is bounded, too.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
