//! A journal file to be damaged.

use std::{fs, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tempfile::TempDir;
use ultrai_deploy_core::{
    file,
    journal::{Event, Journal, Record},
    lease::Fence,
    name::{EnvironmentName, ProjectName, RunId, Target},
};

pub(crate) struct Sample {
    base: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Where the header ends, and each record.
    pub(crate) ends: Vec<usize>,
}

impl Sample {
    /// A journal of this many records.
    pub(crate) async fn new(records: u64) -> Self {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("shop/staging/runs").join(format!("{}.journal", run()));
        let mut sample = Self { base, path, bytes: Vec::new(), ends: Vec::new() };
        let journal = sample.open();
        for seq in 1..=records {
            journal.append(&run(), &note(seq)).await.unwrap();
        }
        sample.bytes = sample.read();
        let lines = sample.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        sample.ends = lines.map(|(at, _)| at + 1).collect();
        sample
    }

    /// The journal as a process that has just started opens it.
    pub(crate) fn open(&self) -> Arc<file::Journal> {
        let target = Target::new(
            ProjectName::new("shop").unwrap(),
            EnvironmentName::new("staging").unwrap(),
        );
        file::open(self.base.path(), &target).unwrap().journal
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        (1..self.ends.len() as u64).map(note).collect()
    }

    pub(crate) fn read(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        fs::write(&self.path, bytes).unwrap();
    }
}

pub(crate) fn run() -> RunId {
    RunId::new("0191").unwrap()
}

pub(crate) fn note(seq: u64) -> Record {
    let event = Event::Note { message: format!("note {seq}") };
    Record { seq, at: Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}
