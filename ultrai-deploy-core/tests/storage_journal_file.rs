//! What a journal file survives, and what it notices.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod journal_file;

use std::{collections::HashMap, fs};

use journal_file::{Sample, note, run};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ultrai_deploy_core::{
    digest,
    error::{Chain, ErrorKind},
    journal::{Journal, Record},
    name::RunId,
    state::State,
};

#[tokio::test]
async fn a_torn_tail_is_left_out_and_cut_off_wherever_it_is_torn() {
    let sample = Sample::new(3).await;
    let records = sample.records();
    let (begin, end) = (sample.ends[2], sample.ends[3]);
    for cut in begin..end {
        for filler in [0, end - cut] {
            let mut bytes = sample.bytes[..cut].to_vec();
            bytes.resize(cut + filler, 0);
            sample.write(&bytes);
            let at = format!("cut at {cut} of {begin}..{end}, {filler} zeros");
            let journal = sample.open();
            assert_eq!(journal.load(&run()).await.unwrap(), records[..2], "{at}");
            if bytes.len() > begin {
                let refused = journal.append(&run(), &records[2]).await.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Corrupt, "{at}");
            }
            journal.repair(&run()).await.unwrap();
            assert_eq!(sample.read(), sample.bytes[..begin], "{at}");
            journal.append(&run(), &records[2]).await.unwrap();
            assert_eq!(sample.read(), sample.bytes, "{at}");
        }
    }
}

#[tokio::test]
async fn a_torn_first_record_leaves_an_empty_run() {
    let sample = Sample::new(1).await;
    for cut in sample.ends[0]..sample.ends[1] {
        sample.write(&sample.bytes[..cut]);
        let journal = sample.open();
        assert_eq!(journal.load(&run()).await.unwrap(), []);
        journal.repair(&run()).await.unwrap();
        journal.append(&run(), &note(1)).await.unwrap();
        assert_eq!(sample.read(), sample.bytes, "cut at {cut}");
    }
}

#[tokio::test]
async fn every_changed_byte_is_noticed() {
    let sample = Sample::new(4).await;
    let records = sample.records();
    let last = sample.ends[3];
    for offset in 0..sample.bytes.len() {
        for mask in [0x01, 0x10, 0x20, 0x80, sample.bytes[offset] ^ b'\n'] {
            if mask == 0 {
                continue;
            }
            let mut bytes = sample.bytes.clone();
            bytes[offset] ^= mask;
            sample.write(&bytes);
            match sample.open().load(&run()).await {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {offset}"),
                Ok(loaded) => {
                    assert!(offset >= last, "byte {offset} ^ {mask:#x} went unnoticed");
                    assert_eq!(loaded, records[..3], "byte {offset} ^ {mask:#x}");
                }
            }
        }
    }
}

#[tokio::test]
async fn damage_is_named_by_file_record_and_byte() {
    let sample = Sample::new(3).await;
    let mut bytes = sample.bytes.clone();
    bytes[sample.ends[2] - 3] ^= 1;
    sample.write(&bytes);
    let error = sample.open().load(&run()).await.unwrap_err();
    let message = Chain(&error).to_string();
    let place = format!("record 2 at byte {}", sample.ends[1]);
    for expected in [sample.path.to_str().unwrap(), place.as_str(), "checksum"] {
        assert!(message.contains(expected), "{message}");
    }
    assert!(error.advice().is_some());
    let error = sample.open().append(&run(), &note(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = sample.open().repair(&run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(sample.read(), bytes, "damage is left for people to look at");
}

#[tokio::test]
async fn missing_exchanged_and_doubled_records_are_noticed() {
    let sample = Sample::new(4).await;
    let line = |number: usize| &sample.bytes[sample.ends[number - 1]..sample.ends[number]];
    let header = &sample.bytes[..sample.ends[0]];
    for order in [&[1, 3, 4][..], &[2, 1, 3, 4], &[1, 2, 2, 3, 4], &[2, 3, 4]] {
        let lines: Vec<u8> = order.iter().flat_map(|number| line(*number)).copied().collect();
        sample.write(&[header, &lines].concat());
        let error = sample.open().load(&run()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{order:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_journal_of_the_run_is_refused() {
    let sample = Sample::new(1).await;
    let other = header("ultrai-journal 1 other");
    for bytes in [b"".as_slice(), b"ultrai-jour", b"{}\n", other.as_bytes()] {
        sample.write(bytes);
        let error = sample.open().load(&run()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_with_advice_and_left_alone() {
    let sample = Sample::new(2).await;
    let newer = header(&format!("ultrai-journal 2 {} with something new", run())) + "whatever";
    sample.write(newer.as_bytes());
    let journal = sample.open();
    for error in [
        journal.load(&run()).await.unwrap_err(),
        journal.repair(&run()).await.unwrap_err(),
        journal.append(&run(), &note(3)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.advice().unwrap().contains("newer version"), "{error}");
    }
    assert_eq!(sample.read(), newer.as_bytes());
}

#[tokio::test]
async fn a_record_of_an_unknown_form_is_not_taken_for_damage() {
    let sample = Sample::new(1).await;
    let json = r#"{"seq":1,"at":"1970-01-01T00:00:00Z","fence":1,"event":{"type":"from_later"}}"#;
    let header = &sample.bytes[..sample.ends[0]];
    let check = Sha256::new().chain_update(Sha256::digest(header)).chain_update(json).finalize();
    let check = u128::from_be_bytes(check[..16].try_into().unwrap());
    let line = format!("{:08x} {check:032x} {json}\n", json.len());
    sample.write(&[header, line.as_bytes()].concat());
    let error = sample.open().load(&run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", Chain(&error));
    assert!(Chain(&error).to_string().contains("from_later"), "{}", Chain(&error));
}

/// Golden journals with a record of every kind: the first ones, and those that came later.
const KINDS: [&str; 2] = ["01910000000070008000000000000001", "01910000000070008000000000000002"];

/// The golden files are what earlier versions wrote, and are never written anew: a record of every
/// kind, and runs with every ending.
#[tokio::test]
async fn golden_journals_load() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let runs = fs::read(format!("{golden}/runs.json")).unwrap();
    let runs: HashMap<String, Golden> = serde_json::from_slice(&runs).unwrap();
    let mut loaded = 0;
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "journal") {
            continue;
        }
        let sample = Sample::new(1).await;
        let id: RunId = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        fs::copy(&path, sample.path.with_file_name(path.file_name().unwrap())).unwrap();
        let records = sample.open().load(&id).await.unwrap();
        if let Some(run) = runs.get(id.as_str()) {
            let state = State::replay(&records).unwrap();
            let ending = serde_json::to_value(state.ending().unwrap()).unwrap();
            assert_eq!((&ending["kind"], records.len()), (&run.ending, run.records), "{id}");
        } else {
            // One record of every kind, in an order that no run has.
            let expected = fs::read(path.with_extension("json")).unwrap();
            let expected: Vec<Record> = serde_json::from_slice(&expected).unwrap();
            assert_eq!(records, expected, "{id}");
        }
        loaded += 1;
    }
    assert_eq!(loaded, runs.len() + KINDS.len(), "golden journals in {golden}");
}

/// What a golden journal tells.
#[derive(Deserialize)]
struct Golden {
    /// The ending's kind.
    ending: serde_json::Value,
    records: usize,
}

/// The form of this version is that of its golden files; another form needs another number.
#[tokio::test]
async fn this_version_writes_what_its_golden_files_have() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for id in KINDS {
        let read = |extension: &str| fs::read(format!("{golden}/{id}.{extension}"));
        let records: Vec<Record> = serde_json::from_slice(&read("json").unwrap()).unwrap();
        let sample = Sample::new(1).await;
        let (run, journal) = (id.parse().unwrap(), sample.open());
        for record in &records {
            journal.append(&run, record).await.unwrap();
        }
        let written = fs::read(sample.path.with_file_name(format!("{id}.journal"))).unwrap();
        let expected = read("journal").unwrap();
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected));
    }
}

fn header(text: &str) -> String {
    format!("{text} {}\n", &digest::sha256(text.as_bytes())[..16])
}
