//! Looks for secret values in texts, in files with their modes, and in what processes run as.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use crate::values::{Needle, needles};

static NEEDLES: LazyLock<Vec<Needle>> = LazyLock::new(needles);

/// Which values stand in it, and in what form.
pub fn found(bytes: &[u8]) -> Vec<&'static str> {
    // What is looked for is ASCII, so nothing of it is lost.
    let text = String::from_utf8_lossy(bytes);
    let is_in = |needle: &&Needle| text.contains(&needle.text);
    NEEDLES.iter().filter(is_in).map(|needle| needle.what.as_str()).collect()
}

/// Panics where a value stands in a text, and shows around it what it is.
#[track_caller]
pub fn assert_clean(what: &str, bytes: &[u8]) {
    clean(what, bytes).unwrap_or_else(|leak| panic!("{leak}"));
}

/// Where a value stands in a text, this is told of it.
fn clean(what: &str, bytes: &[u8]) -> Result<(), String> {
    let all = found(bytes);
    if all.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes);
    let around = NEEDLES.iter().filter_map(|needle| {
        let at = text.find(&needle.text)?;
        let (from, to) = (text.floor_char_boundary(at.saturating_sub(300)), at + needle.text.len());
        Some(format!("\n--- {}: {}", needle.what, &text[from..to]))
    });
    Err(format!("{what} has {all:?}{}", around.collect::<String>()))
}

/// What was found in files of the past, so that one is read again only when it has changed. Modes
/// and places are looked at every time.
#[derive(Default)]
pub struct Seen(Mutex<HashMap<Is, Vec<&'static str>>>);

/// A file, and a content of it: inode, bytes, seconds and nanoseconds of the last change.
#[derive(PartialEq, Eq, Hash)]
struct Is([i128; 4]);

impl Is {
    fn of(metadata: &fs::Metadata) -> Self {
        let (inode, size) = (metadata.ino().into(), metadata.size().into());
        Self([inode, size, metadata.ctime().into(), metadata.ctime_nsec().into()])
    }
}

/// What backups are encrypted for, which opens all of them.
pub const KEY: &str = "backups.key";

/// What was searched below a directory.
#[derive(Debug, Default)]
pub struct Searched {
    pub files: usize,
    /// Files that may hold secrets and do, and keys of backups, relative to the directory.
    pub holders: Vec<PathBuf>,
}

/// Panics for every file below `directory` that has a value in it, its name included, unless `may`
/// allows it by its path relative to `directory`. What is allowed, and a key of backups, is readable
/// by its owner only, and so is every directory from `directory` down to it.
#[track_caller]
pub fn below(directory: &Path, seen: &Seen, may: impl Fn(&Path) -> bool) -> Searched {
    search(directory, seen, may).unwrap_or_else(|leak| panic!("{leak}"))
}

fn search(directory: &Path, seen: &Seen, may: impl Fn(&Path) -> bool) -> Result<Searched, String> {
    let mut searched = Searched::default();
    let mut all = Vec::new();
    collect(directory, &mut all);
    for path in all {
        let relative = path.strip_prefix(directory).unwrap().to_owned();
        clean("the name of a file", relative.as_os_str().as_encoded_bytes())?;
        let metadata = fs::symlink_metadata(&path);
        // What is at work may remove its files.
        let Ok(metadata) = metadata else { continue };
        if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            clean("a link", target.as_os_str().as_encoded_bytes())?;
            continue;
        }
        searched.files += 1;
        let is = Is::of(&metadata);
        let known = seen.0.lock().unwrap().get(&is).cloned();
        let what = if let Some(what) = known {
            what
        } else {
            let Ok(bytes) = fs::read(&path) else { continue };
            let what = found(&bytes);
            seen.0.lock().unwrap().insert(is, what.clone());
            what
        };
        let is_key = relative.ends_with(KEY);
        if what.is_empty() && !is_key {
            continue;
        }
        if !may(&relative) {
            clean(&path.display().to_string(), &fs::read(&path).unwrap())?;
        }
        is_private(directory, &relative, &what)?;
        searched.holders.push(relative);
    }
    Ok(searched)
}

fn is_private(directory: &Path, relative: &Path, what: &[&str]) -> Result<(), String> {
    for (depth, place) in relative.ancestors().enumerate() {
        let wanted = if depth == 0 { 0o600 } else { 0o700 };
        let path = directory.join(place);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        if mode != wanted {
            return Err(format!("{} has mode {mode:o}, and {what:?}", path.display()));
        }
    }
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // A link is not followed: what it leads to is found where it is.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Panics where a process of this machine was started with a value in its arguments.
#[track_caller]
pub fn processes() {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(arguments) = fs::read(entry.path().join("cmdline")) else { continue };
        assert_clean("the arguments of a process", &arguments);
    }
}

#[test]
fn a_planted_value_is_found_in_every_form() {
    use crate::values::{ALL, forms};
    assert!(found(b"nothing of the kind").is_empty());
    let directory = tempfile::tempdir().unwrap();
    let mut planted = 0;
    for canary in ALL {
        for (form, text) in forms(canary.value) {
            let all = found(text.as_bytes());
            assert!(all.iter().any(|what| what.starts_with(canary.name)), "{form}: {all:?}");
            let file = directory.path().join("report.json");
            fs::write(&file, &text).unwrap();
            let searched = search(directory.path(), &Seen::default(), |_| false);
            assert!(searched.is_err(), "{} as {form} in a file", canary.name);
            planted += 1;
        }
    }
    assert_eq!(planted, ALL.len() * forms("").len());
}

#[test]
fn what_may_hold_values_may_be_read_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    fs::create_dir_all(root.join("releases")).unwrap();
    let file = root.join("releases/secrets.json");
    fs::write(&file, crate::values::DECLARED.value).unwrap();
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (file_mode, directory_mode, is_fine) in
        [(0o600, 0o700, true), (0o644, 0o700, false), (0o640, 0o700, false), (0o600, 0o755, false)]
    {
        set(&file, file_mode);
        set(&root.join("releases"), directory_mode);
        set(&root, 0o700);
        let searched = search(&root, &Seen::default(), |_| true);
        assert_eq!(searched.is_ok(), is_fine, "{file_mode:o} in {directory_mode:o}");
        let key = root.join("releases").join(KEY);
        fs::rename(&file, &key).unwrap();
        fs::write(&key, "no value").unwrap();
        let searched = search(&root, &Seen::default(), |_| false);
        assert_eq!(searched.is_ok(), is_fine, "a key, {file_mode:o} in {directory_mode:o}");
        fs::write(&key, crate::values::DECLARED.value).unwrap();
        fs::rename(&key, &file).unwrap();
    }
}
