//! Room for what is not finished: written aside, then renamed into place.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::durable::{create_directory, ignore_missing, private_file, publish, write_new};

/// How often a name is tried again when a sweep of another process was faster.
const ATTEMPTS: u32 = 16;

/// A directory `tmp/<id>` with a kernel lock beside it. It is removed when dropped; that of a
/// process that died is removed by whoever makes the next one.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    _file: File,
}

impl Scratch {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let parent = root.join("tmp");
        create_directory(&parent)?;
        sweep(&parent)?;
        for _ in 0..ATTEMPTS {
            let id = uuid::Uuid::now_v7().simple();
            let lock = parent.join(format!("{id}.lock"));
            let file = private_file().open(&lock)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // A sweep may have taken the lock first, removed the file and gone.
            if lock.try_exists()? {
                let scratch = Self { path: parent.join(id.to_string()), lock, _file: file };
                create_directory(&scratch.path)?;
                return Ok(scratch);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "tmp/ is swept all the time"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Leaving something behind is safe: the next sweep finds it unlocked.
        let _swept_later = remove(&self.path, &self.lock);
    }
}

/// Puts a file with this content at `path`, whole or not at all; durable on return.
pub(super) fn write_atomic(root: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let scratch = Scratch::new(root)?;
    let written = scratch.path().join("file");
    write_new(&written, content)?;
    publish(&written, path)
}

fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let lock = entry?.path();
        if lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Some(file) = ignore_missing(File::open(&lock))? else { continue };
        if file.try_lock().is_ok() {
            remove(&lock.with_extension(""), &lock)?;
        }
    }
    Ok(())
}

fn remove(path: &Path, lock: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_dir_all(path))?;
    ignore_missing(fs::remove_file(lock)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<PathBuf> {
        fs::read_dir(root.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_living_one_has_is_not() {
        let root = tempfile::tempdir().unwrap();
        let living = Scratch::new(root.path()).unwrap();
        fs::write(living.path().join("file"), "x").unwrap();
        let dead = root.path().join("tmp/dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("file"), "x").unwrap();
        fs::write(root.path().join("tmp/dead.lock"), "").unwrap();

        let next = Scratch::new(root.path()).unwrap();
        assert!(!dead.exists());
        assert!(living.path().join("file").exists());
        drop((living, next));
        assert_eq!(names(root.path()), Vec::<PathBuf>::new());
    }
}
