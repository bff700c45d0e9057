//! The journal as one object a record.
//!
//! ```text
//! runs/<run>                          the first record: without it there is no such run
//! records/<run>/0000000002            the others, each created once
//! records/<run>/through-0000000042    all records up to there, when the run has ended: read at once
//! ```
//! A record is there as a whole or not at all, so nothing is ever torn. Two drivers cannot both create
//! a number: who comes second is told, and stops.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{ObjectStore, path::Path};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    journal::{self, End, Event, Record, unknown},
    name::{RunId, Target},
};

use crate::{
    envelope,
    keys::{Created, Keys},
    register::numbered,
};

const APPEND: &str = "append to the journal";
const LOAD: &str = "read the journal";
const REPAIR: &str = "repair the journal";
const REMOVE: &str = "remove the journal";
const LIST: &str = "list runs";
const RUNS: &str = "runs";
const RECORDS: &str = "records";
/// Begins the name of what has all records up to a number.
const THROUGH: &str = "through-";

/// Keeps the records of the runs of one environment.
#[derive(Debug)]
pub struct Journal {
    keys: Keys,
    /// Held through each append.
    appender: Mutex<Appender>,
}

#[derive(Debug, Default)]
struct Appender {
    /// Where the last append left a run. It may be behind, and never ahead, of what is there.
    end: Option<(RunId, End)>,
    /// What an append was about to create that nobody has waited for to its end.
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    name: String,
    record: Record,
    bytes: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    run: RunId,
    records: Vec<Record>,
}

/// What there is of a run besides its first record.
#[derive(Debug, Default)]
struct Listing {
    numbers: Vec<u64>,
    through: Option<u64>,
}

impl Listing {
    fn last(&self) -> u64 {
        let newest = self.numbers.iter().copied().max();
        newest.max(self.through).unwrap_or(1)
    }
}

impl Journal {
    /// The journal of `target` below `prefix`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &Path, target: &Target) -> Self {
        Self { keys: Keys::new(store, prefix, target), appender: Mutex::default() }
    }

    fn decode(
        &self,
        run: &RunId,
        name: &str,
        bytes: &[u8],
        operation: &'static str,
    ) -> Result<Vec<Record>> {
        let what = self.keys.describe(name);
        let json = envelope::open(bytes, None, operation, &what)?;
        let stored: Stored = serde_json::from_slice(&json)
            .map_err(|error| unreadable(&json, &what, operation, error))?;
        if stored.run != *run {
            let why = format!("it is of run {}", stored.run);
            return Err(envelope::damaged(operation, &what, why));
        }
        Ok(stored.records)
    }

    async fn listing(&self, run: &RunId, operation: &'static str) -> Result<Listing> {
        let (names, _) = self.keys.list(&format!("{RECORDS}/{run}"), operation).await?;
        let number = |text: &str| text.parse().ok();
        let through = names.iter().filter_map(|name| number(name.strip_prefix(THROUGH)?)).max();
        Ok(Listing { numbers: names.iter().filter_map(|name| number(name)).collect(), through })
    }

    async fn end(&self, run: &RunId) -> Result<End> {
        let listing = self.listing(run, APPEND).await?;
        if !self.keys.exists(&first(run), APPEND).await? {
            if listing.numbers.is_empty() {
                return Ok(End::default());
            }
            let message = format!("there are records of run {run}, which was removed");
            return Err(Error::new(ErrorKind::Conflict, APPEND, message).without_effect());
        }
        // Fences never fall, so the last record has the highest one.
        let seq = listing.last();
        let record = self.record(run, seq, APPEND).await?;
        Ok(End { seq, fence: record.fence })
    }

    async fn record(&self, run: &RunId, seq: u64, operation: &'static str) -> Result<Record> {
        let name = name(run, seq);
        let bytes = self.keys.get(&name, operation).await?;
        let found = bytes.map(|bytes| self.decode(run, &name, &bytes, operation)).transpose()?;
        found.and_then(|records| records.into_iter().find(|record| record.seq == seq)).ok_or_else(
            || envelope::damaged(operation, &self.keys.describe(&name), "it is missing"),
        )
    }

    /// Keeps all records of a run that has ended as one object. What is left undone costs time only.
    async fn gather(&self, run: &RunId, last: u64) -> Result<()> {
        let records = self.read(run).await?;
        if records.last().is_none_or(|record| record.seq != last) {
            return Ok(());
        }
        let name = format!("{RECORDS}/{run}/{THROUGH}{last:010}");
        self.keys.put(&name, encode(run, records)?, APPEND).await
    }

    async fn read(&self, run: &RunId) -> Result<Vec<Record>> {
        let listing = self.listing(run, LOAD).await?;
        let mut names: Vec<_> = listing
            .through
            .map(|last| (last, format!("{RECORDS}/{run}/{THROUGH}{last:010}")))
            .into_iter()
            .collect();
        let gathered = listing.through.unwrap_or_default();
        names.extend((gathered + 1..=listing.last()).map(|seq| (seq, name(run, seq))));
        let wanted: Vec<_> =
            std::iter::once(first(run)).chain(names.iter().map(|(_, name)| name.clone())).collect();
        let mut found = self.keys.get_all(wanted, LOAD).await?;
        if found.first().is_none_or(Option::is_none) {
            return Err(unknown(run, LOAD));
        }
        let mut records = Vec::new();
        for ((last, name), bytes) in names.iter().zip(found.drain(1..)) {
            let bytes = match bytes {
                Some(bytes) => bytes,
                // It was removed while it was read.
                None if !self.keys.exists(&first(run), LOAD).await? => {
                    return Err(unknown(run, LOAD));
                }
                None => {
                    let what = self.keys.describe(name);
                    return Err(envelope::damaged(LOAD, &what, "it is missing"));
                }
            };
            records.extend(self.decode(run, name, &bytes, LOAD)?);
            let numbers = records.iter().map(|record| record.seq);
            if records.len() as u64 != *last || !numbers.eq(1..=*last) {
                let what = self.keys.describe(name);
                return Err(envelope::damaged(LOAD, &what, "its records have other numbers"));
            }
        }
        Ok(records)
    }

    /// Everything of a run but its first record.
    async fn sweep(&self, run: &str) -> Result<()> {
        let directory = format!("{RECORDS}/{run}");
        let (names, _) = self.keys.list(&directory, REMOVE).await?;
        let names: Vec<_> = names.iter().map(|name| format!("{directory}/{name}")).collect();
        self.keys.delete(&names, REMOVE).await
    }
}

#[async_trait]
impl journal::Journal for Journal {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let mut appender = self.appender.lock().await;
        let begun = appender.begun.take();
        let end = match appender.end.take().filter(|(of, _)| of == run) {
            Some((_, end)) => end,
            None => self.end(run).await?,
        };
        let name = name(run, record.seq);
        // The same record again, whose creation was given up and may have come true.
        let begun = begun.filter(|begun| begun.name == name && begun.record == *record);
        let follows = end.check(run, record);
        let bytes = if let Some(begun) = begun {
            begun.bytes
        } else {
            follows?;
            encode(run, vec![record.clone()])?
        };
        appender.begun =
            Some(Begun { name: name.clone(), record: record.clone(), bytes: bytes.clone() });
        let created = self.keys.create(&name, &bytes, APPEND).await?;
        appender.begun = None;
        if let Created::Anothers(_) = created {
            // What it is behind of is read again: the same rule says what is wrong.
            let end = self.end(run).await?;
            end.check(run, record)?;
            let message = format!("run {run} has record {} already", record.seq);
            return Err(Error::new(ErrorKind::Conflict, APPEND, message).without_effect());
        }
        appender.end = Some((run.clone(), End { seq: record.seq, fence: record.fence }));
        if let Event::Ended { .. } = record.event {
            // The records are durable as they are.
            let _read_one_by_one = self.gather(run, record.seq).await;
        }
        Ok(())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.read(run).await
    }

    /// Nothing to do: no record is ever torn.
    async fn repair(&self, run: &RunId) -> Result<()> {
        if self.keys.exists(&first(run), REPAIR).await? {
            Ok(())
        } else {
            Err(unknown(run, REPAIR))
        }
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        let mut appender = self.appender.lock().await;
        *appender = Appender::default();
        self.keys.delete(&[first(run)], REMOVE).await?;
        self.sweep(run.as_str()).await?;
        // What a removal left that was cut off. Records are listed first: a run that begins meanwhile
        // has none of them before it is among the runs.
        let (_, recorded) = self.keys.list(RECORDS, REMOVE).await?;
        let (runs, _) = self.keys.list(RUNS, REMOVE).await?;
        for left in recorded.iter().filter(|name| !runs.contains(name)) {
            self.sweep(left).await?;
        }
        Ok(())
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        let (names, _) = self.keys.list(RUNS, LIST).await?;
        let mut runs: Vec<_> = names.into_iter().filter_map(|name| RunId::new(name).ok()).collect();
        runs.sort();
        Ok(runs)
    }
}

fn first(run: &RunId) -> String {
    format!("{RUNS}/{run}")
}

fn name(run: &RunId, seq: u64) -> String {
    if seq == 1 { first(run) } else { numbered(&format!("{RECORDS}/{run}"), seq) }
}

fn encode(run: &RunId, records: Vec<Record>) -> Result<Bytes> {
    let stored = Stored { run: run.clone(), records };
    let json = serde_json::to_vec(&stored).map_err(|source| {
        Error::new(ErrorKind::Unexpected, APPEND, format!("a record of run {run} has no JSON"))
            .with_source(source)
            .without_effect()
    })?;
    Ok(envelope::close(&json, None)?.into())
}

/// Whole, but not as this version writes it: a newer one has events that this one does not know.
fn unreadable(json: &[u8], what: &str, operation: &'static str, error: serde_json::Error) -> Error {
    if serde_json::from_slice::<serde_json::Value>(json).is_err() {
        return envelope::damaged(operation, what, error);
    }
    Error::new(ErrorKind::Unsupported, operation, format!("{what} has a record of another form"))
        .with_advice("use the newer version of this program that wrote it")
        .with_source(error)
        .without_effect()
}
