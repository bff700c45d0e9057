//! The form of a journal file: a header line, then one line a record.
//!
//! ```text
//! ultrai-journal <format> <run> <check>
//! <length, 8 hex digits> <check, 32 hex digits> <record as JSON>
//! ```
//! A record's check is a hash of its JSON and of the check before it, so that a changed, missing
//! or exchanged record is noticed. The header keeps its form in all formats; its check covers
//! what precedes it.

use sha2::{Digest, Sha256};

use crate::{
    digest::hex,
    journal::{FORMAT, Record},
    name::RunId,
};

const MAGIC: &str = "ultrai-journal";
const LENGTH_DIGITS: usize = 8;
const CHECK_DIGITS: usize = 32;
/// Length, space, check, space.
const PREFIX: usize = LENGTH_DIGITS + 1 + CHECK_DIGITS + 1;

/// Hash over everything up to a point in a journal.
#[derive(Clone, Debug)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    fn next(&self, json: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(json).finalize().into())
    }

    fn check(&self) -> String {
        hex(&self.0[..CHECK_DIGITS / 2])
    }
}

/// The good part of a journal.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) records: Vec<Record>,
    pub(super) chain: Chain,
    /// Bytes up to the end of the last good record.
    pub(super) good: usize,
    /// Bytes after that.
    pub(super) torn: usize,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("its first line is no header of a journal")]
    Header,
    #[error("it is the journal of run {0}")]
    OtherRun(String),
    #[error("it has format {0}; this version reads up to {FORMAT}")]
    Newer(u16),
    #[error("record {number} at byte {offset} {why}")]
    Record { number: u64, offset: usize, why: &'static str },
    #[error("record {number} at byte {offset} has a form that this version does not know")]
    Unknown { number: u64, offset: usize, source: serde_json::Error },
}

/// The header of a run's journal.
pub(super) fn header(run: &RunId) -> (Vec<u8>, Chain) {
    let text = format!("{MAGIC} {FORMAT} {run}");
    let line = format!("{text} {}\n", header_check(&text)).into_bytes();
    let chain = Chain(Sha256::digest(&line).into());
    (line, chain)
}

/// A record's line, and the chain after it.
pub(super) fn encode(chain: &Chain, record: &Record) -> serde_json::Result<(Vec<u8>, Chain)> {
    let json = serde_json::to_vec(record)?;
    let chain = chain.next(&json);
    let mut line = format!("{:0LENGTH_DIGITS$x} {} ", json.len(), chain.check()).into_bytes();
    line.extend(json);
    line.push(b'\n');
    Ok((line, chain))
}

/// Reads a journal up to the last good record.
///
/// What follows that record is a torn tail if it can be what is left of one append, which is one
/// line; otherwise it is damage.
pub(super) fn scan(bytes: &[u8], run: &RunId) -> Result<Scan, Damage> {
    let start = check_header(bytes, run)?;
    let mut scan = Scan {
        records: Vec::new(),
        chain: Chain(Sha256::digest(&bytes[..start]).into()),
        good: start,
        torn: 0,
    };
    let mut number = 1;
    while scan.good < bytes.len() {
        let offset = scan.good;
        let rest = &bytes[offset..];
        let frame = match frame(rest, &scan.chain) {
            Ok(frame) => frame,
            Err(Bad::Line(why)) => {
                let line = rest.iter().position(|byte| *byte == b'\n');
                if line.is_some_and(|end| end + 1 < rest.len()) {
                    return Err(Damage::Record { number, offset, why });
                }
                scan.torn = rest.len();
                break;
            }
            Err(Bad::Damaged(why)) => return Err(Damage::Record { number, offset, why }),
        };
        let record: Record = serde_json::from_slice(frame.json)
            .map_err(|source| Damage::Unknown { number, offset, source })?;
        if record.seq != number {
            return Err(Damage::Record { number, offset, why: "has another number" });
        }
        scan.records.push(record);
        scan.good += frame.length;
        scan.chain = frame.chain;
        number += 1;
    }
    Ok(scan)
}

struct Frame<'a> {
    json: &'a [u8],
    length: usize,
    chain: Chain,
}

enum Bad {
    /// The line is bad: a torn tail if it is the last one.
    Line(&'static str),
    /// Certainly not what is left of an append.
    Damaged(&'static str),
}

fn frame<'a>(rest: &'a [u8], chain: &Chain) -> Result<Frame<'a>, Bad> {
    let prefix = rest.get(..PREFIX).ok_or(Bad::Line("is incomplete"))?;
    let length = std::str::from_utf8(&prefix[..LENGTH_DIGITS])
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .ok_or(Bad::Line("has no length"))?;
    let json = rest.get(PREFIX..PREFIX + length).ok_or(Bad::Line("is incomplete"))?;
    let chain = chain.next(json);
    if prefix != format!("{length:0LENGTH_DIGITS$x} {} ", chain.check()).as_bytes() {
        return Err(Bad::Line("does not match its checksum"));
    }
    match &rest[PREFIX + length..] {
        [b'\n', ..] => Ok(Frame { json, length: PREFIX + length + 1, chain }),
        [] | [_] => Err(Bad::Line("is incomplete")),
        // Without its line end it would hide the records after it in one long last line.
        _ => Err(Bad::Damaged("has no line end")),
    }
}

fn check_header(bytes: &[u8], run: &RunId) -> Result<usize, Damage> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(Damage::Header)?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| Damage::Header)?;
    let (text, check) = line.rsplit_once(' ').ok_or(Damage::Header)?;
    let mut words = text.split(' ');
    if check != header_check(text) || words.next() != Some(MAGIC) {
        return Err(Damage::Header);
    }
    let format: u16 = words.next().and_then(|word| word.parse().ok()).ok_or(Damage::Header)?;
    if format > FORMAT {
        return Err(Damage::Newer(format));
    }
    match words.next() {
        Some(word) if word == run.as_str() => Ok(end + 1),
        Some(word) => Err(Damage::OtherRun(word.to_owned())),
        None => Err(Damage::Header),
    }
}

fn header_check(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}
