//! A directory as an archive.

use std::{
    fmt,
    fs::File,
    future::Future,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use cap_std::fs::{Dir, FileTypeExt, MetadataExt, OpenOptions, OpenOptionsExt};
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::JoinHandle,
};

use crate::{failure::Refusal, limits::Limits, name, screen::padding};

/// How much is made at once.
const CHUNK: usize = 256 << 10;

/// Makes an archive of a directory: sorted, depth first, with permissions, owners and times.
///
/// Sockets are left out, since nothing can be kept of them. Files with several names are there several
/// times. What [`unpack`](crate::unpack) would refuse is refused, as is a file that got shorter while it
/// was read.
pub fn pack(of: Dir, limits: Limits) -> Pack {
    let walk = Walk {
        builder: tar::Builder::new(Vec::new()),
        above: Vec::new(),
        file: None,
        begin: Some(of),
        is_over: false,
        left: limits,
    };
    Pack { state: State::Ready(Box::new(walk)), made: Vec::new(), passed: 0 }
}

/// An archive that is being made; see [`pack`].
pub struct Pack {
    state: State,
    made: Vec<u8>,
    passed: usize,
}

enum State {
    Ready(Box<Walk>),
    Working(JoinHandle<io::Result<Box<Walk>>>),
    Over,
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pack").finish_non_exhaustive()
    }
}

impl AsyncRead for Pack {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.passed < self.made.len() {
                let count = out.remaining().min(self.made.len() - self.passed);
                out.put_slice(&self.made[self.passed..self.passed + count]);
                self.passed += count;
                return Poll::Ready(Ok(()));
            }
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(Ok(())),
                State::Ready(mut walk) => State::Working(tokio::task::spawn_blocking(move || {
                    walk.go_on()?;
                    Ok(walk)
                })),
                State::Working(mut work) => {
                    let Poll::Ready(done) = Pin::new(&mut work).poll(cx) else {
                        self.state = State::Working(work);
                        return Poll::Pending;
                    };
                    let mut walk = done.unwrap_or_else(|lost| Err(io::Error::other(lost)))?;
                    self.made = std::mem::take(walk.builder.get_mut());
                    self.passed = 0;
                    if walk.is_over { State::Over } else { State::Ready(walk) }
                }
            }
        }
    }
}

struct Walk {
    builder: tar::Builder<Vec<u8>>,
    above: Vec<Level>,
    file: Option<Open>,
    begin: Option<Dir>,
    is_over: bool,
    left: Limits,
}

/// The file that is being read.
struct Open {
    file: File,
    path: PathBuf,
    /// How much is to come.
    left: u64,
    /// Zeros after it.
    padding: usize,
}

struct Level {
    directory: Dir,
    path: PathBuf,
    names: vec::IntoIter<std::ffi::OsString>,
}

impl Walk {
    /// Makes the next chunk.
    fn go_on(&mut self) -> io::Result<()> {
        if let Some(root) = self.begin.take() {
            self.enter(root, PathBuf::new())?;
        }
        while !self.is_over && self.builder.get_ref().len() < CHUNK {
            if self.file.is_some() {
                self.read_on()?;
            } else {
                self.step()?;
            }
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        let Some(level) = self.above.last_mut() else {
            self.builder.finish()?;
            self.is_over = true;
            return Ok(());
        };
        let Some(name) = level.names.next() else {
            self.above.pop();
            return Ok(());
        };
        let path = level.path.join(&name);
        let found = level.directory.symlink_metadata(&name);
        let found = match found {
            // It was removed since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|error| at(&path, &error))?,
        };
        let kind = found.file_type();
        if kind.is_dir() {
            let inner = level.directory.open_dir(&name).map_err(|error| at(&path, &error))?;
            self.enter(inner, path)
        } else if kind.is_symlink() {
            let target = level.directory.read_link_contents(&name);
            self.link(&path, &target.map_err(|error| at(&path, &error))?, &found)
        } else if kind.is_file() {
            let mut options = OpenOptions::new();
            // It may have become a link or a pipe by now.
            options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
            let file =
                level.directory.open_with(&name, &options).map_err(|error| at(&path, &error))?;
            self.begin_file(file.into_std(), path)
        } else if FileTypeExt::is_socket(&kind) {
            Ok(())
        } else {
            let why = "it is a device or a pipe, which cannot be kept";
            Err(Refusal::of(path.as_os_str().as_bytes(), why).into_io())
        }
    }

    fn enter(&mut self, directory: Dir, path: PathBuf) -> io::Result<()> {
        let metadata = directory.dir_metadata().map_err(|error| at(&path, &error))?;
        let entries = directory.entries().map_err(|error| at(&path, &error))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>().map_err(|error| at(&path, &error))?;
        names.sort_unstable();
        let mut header = header(&metadata, tar::EntryType::Directory, 0);
        let name = if path.as_os_str().is_empty() { Path::new("./") } else { &path };
        self.count(name, 0)?;
        self.builder.append_data(&mut header, name, io::empty())?;
        self.above.push(Level { directory, path, names: names.into_iter() });
        Ok(())
    }

    fn link(
        &mut self,
        path: &Path,
        target: &Path,
        metadata: &cap_std::fs::Metadata,
    ) -> io::Result<()> {
        let (own, other) = (path.as_os_str().as_bytes(), target.as_os_str().as_bytes());
        name::check_target(own, other).map_err(|why| Refusal::of(own, why).into_io())?;
        self.count(path, 0)?;
        let mut header = header(metadata, tar::EntryType::Symlink, 0);
        self.builder.append_link(&mut header, path, target).map_err(|error| at(path, &error))
    }

    fn begin_file(&mut self, file: File, path: PathBuf) -> io::Result<()> {
        let metadata = file.metadata().map_err(|error| at(&path, &error))?;
        if !metadata.is_file() {
            let why = "it became something else while it was read";
            return Err(Refusal::of(path.as_os_str().as_bytes(), why).into_io());
        }
        let size = metadata.len();
        self.count(&path, size)?;
        let metadata = cap_std::fs::Metadata::from_just_metadata(metadata);
        let mut header = header(&metadata, tar::EntryType::Regular, size);
        // The content follows on its own, in chunks.
        self.builder.append_data(&mut header, &path, io::empty())?;
        let padding = usize::try_from(padding(size)).unwrap_or(0);
        self.file = Some(Open { file, path, left: size, padding });
        Ok(())
    }

    fn read_on(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.file else { return Ok(()) };
        let made = self.builder.get_mut();
        let before = made.len();
        if open.left == 0 {
            made.resize(before + open.padding, 0);
            self.file = None;
            return Ok(());
        }
        let wanted = usize::try_from(open.left).unwrap_or(CHUNK).min(CHUNK);
        made.resize(before + wanted, 0);
        let count = open.file.read(&mut made[before..]).map_err(|error| at(&open.path, &error))?;
        made.truncate(before + count);
        open.left -= count as u64;
        if count == 0 {
            let why = "it got shorter while it was read";
            return Err(Refusal::of(open.path.as_os_str().as_bytes(), why).into_io());
        }
        Ok(())
    }

    /// Counts an entry against the limits.
    fn count(&mut self, path: &Path, size: u64) -> io::Result<()> {
        let left = (self.left.entries.checked_sub(1), self.left.bytes.checked_sub(size));
        let (Some(entries), Some(bytes)) = left else {
            let why = "there are more entries or bytes than may be kept";
            return Err(Refusal::of(path.as_os_str().as_bytes(), why).into_io());
        };
        self.left = Limits { entries, bytes };
        Ok(())
    }
}

fn header(metadata: &cap_std::fs::Metadata, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(MetadataExt::mode(metadata) & 0o7777);
    header.set_uid(MetadataExt::uid(metadata).into());
    header.set_gid(MetadataExt::gid(metadata).into());
    header.set_mtime(u64::try_from(MetadataExt::mtime(metadata)).unwrap_or(0));
    header
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    let shown = crate::failure::quote(path.as_os_str().as_bytes());
    io::Error::new(error.kind(), format!("`{shown}` cannot be read: {error}"))
}
