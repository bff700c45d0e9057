//! The 512 bytes before an entry.

use crate::failure::Refusal;

/// Size of all that an archive is made of.
pub(crate) const BLOCK: usize = 512;

/// A header whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    block: &'a [u8; BLOCK],
    is_posix: bool,
}

impl<'a> Header<'a> {
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Self, Refusal> {
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if octal(&block[148..156]) != Some(sum) {
            return Err(Refusal::new(
                "this is no tar archive, or it is damaged: a checksum is wrong",
            ));
        }
        // Older forms leave open where a name ends.
        let is_posix = match &block[257..265] {
            b"ustar\x0000" => true,
            b"ustar  \0" => false,
            _ => return Err(Refusal::new("it is neither a POSIX nor a GNU archive")),
        };
        // With these bytes at the end some programs read names in another way.
        if is_posix && &block[508..512] == b"tar\0" {
            return Err(Refusal::new("it is an archive of the form `star`"));
        }
        Ok(Self { block, is_posix })
    }

    pub(crate) fn kind(&self) -> u8 {
        self.block[156]
    }

    pub(crate) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = if self.is_posix { text(&self.block[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(crate) fn size(&self) -> Result<u64, Refusal> {
        number(&self.block[124..136]).ok_or_else(|| Refusal::new("its size is no number"))
    }

    pub(crate) fn mode(&self) -> Result<u32, Refusal> {
        let mode = number(&self.block[100..108]).and_then(|mode| u32::try_from(mode).ok());
        Ok(mode.ok_or_else(|| Refusal::new("its mode is no number"))? & 0o7777)
    }

    pub(crate) fn modified(&self) -> Result<i64, Refusal> {
        let time = number(&self.block[136..148]).and_then(|time| i64::try_from(time).ok());
        // What is from before 1970 is written in two's complement.
        if self.block[136] == 0xff {
            return Ok(0);
        }
        time.ok_or_else(|| Refusal::new("its time is no number"))
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits, or binary where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => rest
            .iter()
            .try_fold(0_u64, |value, byte| Some(value.checked_mul(256)? | u64::from(*byte))),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let is_blank = |byte: &u8| matches!(*byte, b' ' | 0);
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let rest = &field[start..];
    let end = rest.iter().position(is_blank).unwrap_or(rest.len());
    if !rest[end..].iter().all(is_blank) {
        return None;
    }
    rest[..end].iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'7' => Some(value.checked_mul(8)? + u64::from(byte - b'0')),
        _ => None,
    })
}
