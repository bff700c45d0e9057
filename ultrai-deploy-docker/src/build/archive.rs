//! The context as a tar stream, read as it is sent: memory does not grow with its size.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use futures_util::{Stream, stream};
use tar::{Builder, EntryType, Header, HeaderMode};
use tokio::{sync::mpsc, task::JoinHandle};
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

use super::{
    context::{BuildContext, Dockerfile},
    ignore::Verdict,
};

/// Bytes of one piece of the stream.
const CHUNK: usize = 64 * 1024;
/// Pieces that wait to be sent; with [`CHUNK`] the most memory that a stream takes.
const CHUNKS: usize = 8;

/// How much was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Bytes of the files.
    pub(crate) bytes: u64,
}

impl BuildContext {
    /// Reads the context into a tar stream. The task ends when all is read or the stream is
    /// dropped; it tells why the stream broke off, naming the path.
    ///
    /// Entries come sorted by name, owned by root, with modes and times as they are; links stay
    /// links; sockets, pipes and devices are left out. `on_sent` is called when all is read.
    pub(crate) fn send(
        self,
        on_sent: impl FnOnce(Sent) + Send + 'static,
    ) -> (impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static, JoinHandle<Result<()>>) {
        let (sender, mut receiver) = mpsc::channel(CHUNKS);
        let reader = tokio::task::spawn_blocking(move || {
            let chunks = BufWriter::with_capacity(CHUNK, Chunks(sender.clone()));
            match Archive::new(chunks).write(&self) {
                Ok(sent) => {
                    on_sent(sent);
                    Ok(())
                }
                Err(error) => {
                    // Without this the stream would look complete. A receiver that is gone knows.
                    let _dropped =
                        sender.blocking_send(Err(io::Error::other("the context broke off")));
                    Err(error)
                }
            }
        });
        (stream::poll_fn(move |cx| receiver.poll_recv(cx)), reader)
    }
}

struct Archive<W: Write> {
    tar: Builder<W>,
    sent: Sent,
    /// Directories that are left out themselves, but hold something that is not: they are written
    /// when it comes, so that it lies in a directory with the right mode.
    pending: Vec<(PathBuf, Metadata)>,
}

impl<W: Write> Archive<W> {
    fn new(writer: W) -> Self {
        Self { tar: Builder::new(writer), sent: Sent::default(), pending: Vec::new() }
    }

    fn write(mut self, context: &BuildContext) -> Result<Sent> {
        self.directory(context, Path::new(""), &Verdict::default())?;
        if let Dockerfile::Added { name, content } = &context.dockerfile {
            let ignore_file = context.added_ignore_file();
            let ignore_file = ignore_file.map_err(|source| unreadable(".dockerignore", source))?;
            self.content(".dockerignore", &ignore_file.unwrap_or_default())?;
            self.content(name, content)?;
        }
        let written = self.tar.into_inner().and_then(|mut writer| writer.flush());
        written.map_err(|source| unreadable("the end", source))?;
        Ok(self.sent)
    }

    fn directory(
        &mut self,
        context: &BuildContext,
        relative: &Path,
        verdict: &Verdict,
    ) -> Result<()> {
        let path = context.directory.join(relative);
        let failed = |source| unreadable(&path.display().to_string(), source);
        let entries: io::Result<Vec<_>> = fs::read_dir(&path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        let mut entries = entries.map_err(failed)?;
        entries.sort();
        for name in entries {
            self.entry(context, &relative.join(name), verdict)?;
        }
        Ok(())
    }

    fn entry(&mut self, context: &BuildContext, relative: &Path, parent: &Verdict) -> Result<()> {
        let path = context.directory.join(relative);
        let failed = |source| unreadable(&path.display().to_string(), source);
        let shown = relative.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        if context.is_replaced(&shown) {
            return Ok(());
        }
        let verdict = context.rules.judge(&shown, parent);
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        if metadata.is_dir() {
            if verdict.is_excluded() {
                if context.rules.has_exception_below(&shown) {
                    self.pending.push((relative.to_owned(), metadata));
                    self.directory(context, relative, &verdict)?;
                    self.pending.retain(|(pending, _)| pending != relative);
                }
                return Ok(());
            }
            self.pending().and_then(|()| self.empty(relative, &metadata)).map_err(failed)?;
            return self.directory(context, relative, &verdict);
        }
        if verdict.is_excluded() {
            return Ok(());
        }
        self.pending().map_err(failed)?;
        if metadata.is_symlink() {
            self.link(relative, &path, &metadata).map_err(failed)
        } else if metadata.is_file() {
            self.file(relative, &path).map_err(failed)
        } else {
            Ok(())
        }
    }

    fn pending(&mut self) -> io::Result<()> {
        for (relative, metadata) in std::mem::take(&mut self.pending) {
            self.empty(&relative, &metadata)?;
        }
        Ok(())
    }

    fn empty(&mut self, relative: &Path, metadata: &Metadata) -> io::Result<()> {
        let mut header = header(metadata);
        header.set_size(0);
        self.sent.entries += 1;
        self.tar.append_data(&mut header, relative, io::empty())
    }

    fn link(&mut self, relative: &Path, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let mut header = header(metadata);
        header.set_size(0);
        self.sent.entries += 1;
        self.tar.append_link(&mut header, relative, fs::read_link(path)?)
    }

    fn file(&mut self, relative: &Path, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut header = header(&metadata);
        let mut content = Exactly { file, left: metadata.len() };
        self.sent.entries += 1;
        self.sent.bytes += metadata.len();
        self.tar.append_data(&mut header, relative, &mut content)
    }

    fn content(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        self.sent.entries += 1;
        self.sent.bytes += content.len() as u64;
        self.tar.append_data(&mut header, name, content).map_err(|source| unreadable(name, source))
    }
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(metadata, HeaderMode::Complete);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A file's content in exactly the length that its header says, even while somebody writes to it.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.file).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            let message = "it became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Hands on what is written; fails when nobody takes it any more.
struct Chunks(mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Chunks {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(buffer.to_vec()))
            .map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unreadable(what: &str, source: io::Error) -> Error {
    let (kind, message) = match source.kind() {
        io::ErrorKind::BrokenPipe => {
            (ErrorKind::Unavailable, format!("the builder stopped reading at {what}"))
        }
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, format!("{what} may not be read")),
        _ => (ErrorKind::Io, format!("{what} cannot be read")),
    };
    Error::new(kind, "send the build context", message)
        .with_advice("make it readable, or leave it out in .dockerignore")
        .without_effect()
        .with_source(source)
}
