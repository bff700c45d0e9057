//! Two GiB as a server has them, the same on every machine: logs and dumps, what is compressed or
//! encrypted already, database files with many empty pages, and many small files.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use ultrai_benches::Random;

const MIB: u64 = 1 << 20;
/// Of a hundred bytes.
const TEXT: u64 = 42;
const DENSE: u64 = 30;
const PAGES: u64 = 20;

const WORDS: [&str; 32] = [
    "INSERT",
    "INTO",
    "orders",
    "VALUES",
    "customer",
    "2026-11-21T10:",
    "INFO",
    "request",
    "GET",
    "/api/v1/items",
    "status=200",
    "latency_ms=",
    "null",
    "true",
    "shipped",
    "pending",
    "warehouse",
    "\"id\":",
    "\"name\":",
    "\"email\":",
    "example.org",
    "session",
    "user-agent",
    "Mozilla/5.0",
    "index",
    "btree",
    "error",
    "retry",
    "timeout",
    "connection",
    "pool",
    "acquired",
];

/// Writes `mib` MiB below a directory.
pub(crate) fn generate(directory: &Path, mib: u64) {
    let random = &mut Random::new(6);
    let total = mib * MIB;
    many(&directory.join("text"), total / 100 * TEXT, random, text);
    many(&directory.join("dense"), total / 100 * DENSE, random, dense);
    many(&directory.join("pages"), total / 100 * PAGES, random, pages);
    let mut left = total / 100 * (100 - TEXT - DENSE - PAGES);
    let mut number = 0;
    while left > 0 {
        let place = directory.join("small").join(format!("{:03}", number / 100));
        fs::create_dir_all(&place).unwrap();
        let size = random.between(200, 16 << 10).min(left);
        fs::write(place.join(format!("{number}.json")), text(size, random)).unwrap();
        left -= size;
        number += 1;
    }
}

/// Changes one byte of a hundred: in large files in runs of 4 to 256 KiB and by something that is put
/// in, and one small file of a hundred as a whole.
pub(crate) fn change(directory: &Path) {
    let random = &mut Random::new(66);
    for kind in ["text", "dense", "pages"] {
        for path in files(&directory.join(kind)) {
            let size = fs::metadata(&path).unwrap().len();
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            let mut left = size / 100;
            while left > 0 {
                let run = random.between(4 << 10, 256 << 10).min(left);
                file.seek(SeekFrom::Start(random.between(0, size - run + 1))).unwrap();
                file.write_all(&text(run, random)).unwrap();
                left -= run;
            }
        }
    }
    let grown = files(&directory.join("text")).swap_remove(0);
    let mut content = fs::read(&grown).unwrap();
    content.splice(100_000..100_000, text(10_000, random));
    fs::write(grown, content).unwrap();
    for place in files(&directory.join("small")) {
        for path in files(&place) {
            if random.between(0, 100) == 0 {
                let size = fs::metadata(&path).unwrap().len();
                fs::write(path, text(size, random)).unwrap();
            }
        }
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn many(
    directory: &Path,
    mut left: u64,
    random: &mut Random,
    fill: impl Fn(u64, &mut Random) -> Vec<u8>,
) {
    fs::create_dir_all(directory).unwrap();
    let mut number = 0;
    while left > 0 {
        let mut size = random.between(MIB, 96 * MIB).min(left);
        let mut output =
            BufWriter::new(File::create(directory.join(format!("{number:03}"))).unwrap());
        left -= size;
        number += 1;
        while size > 0 {
            let block = size.min(MIB);
            output.write_all(&fill(block, random)).unwrap();
            size -= block;
        }
    }
}

fn text(size: u64, random: &mut Random) -> Vec<u8> {
    let size = usize::try_from(size).unwrap();
    let mut text = Vec::with_capacity(size + 64);
    while text.len() < size {
        let word = random.word();
        text.extend_from_slice(WORDS[usize::try_from(word % 32).unwrap()].as_bytes());
        text.push(b' ');
        if (word >> 32).trailing_zeros() >= 2 {
            write!(text, "{}", word >> 44).unwrap();
        }
        if (word >> 40).trailing_zeros() >= 4 {
            text.push(b'\n');
        }
    }
    text.truncate(size);
    text
}

fn dense(size: u64, random: &mut Random) -> Vec<u8> {
    let size = usize::try_from(size).unwrap();
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend_from_slice(&random.word().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Pages of 8 KiB, most of them empty or nearly so.
fn pages(size: u64, random: &mut Random) -> Vec<u8> {
    const PAGE: usize = 8 << 10;
    let size = usize::try_from(size).unwrap();
    let mut bytes = Vec::with_capacity(size + PAGE);
    while bytes.len() < size {
        let used = match random.between(0, 10) {
            0..6 => 0,
            6..8 => random.between(100, 2000),
            _ => random.between(4000, 8000),
        };
        let start = bytes.len();
        bytes.extend_from_slice(&text(used, random));
        bytes.resize(start + PAGE, 0);
    }
    bytes.truncate(size);
    bytes
}
