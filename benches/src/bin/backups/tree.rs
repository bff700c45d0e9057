//! Sources: a directory through `tar`, and a stream as long as one likes.

use std::{
    path::PathBuf,
    pin::Pin,
    process::Stdio,
    task::{self, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, ReadBuf},
    process::{Child, ChildStdout, Command},
};
use ultrai_benches::Random;
use ultrai_deploy_core::{
    Context,
    backup::{BackupSource, Content, PartStream},
    error::{Error, ErrorKind, Result},
};

/// One part: the archive that `tar` makes of a directory.
#[derive(Debug)]
pub(crate) struct Tree(pub(crate) PathBuf);

#[async_trait::async_trait]
impl BackupSource for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["archive".to_owned()])
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "-cf", "-", "-C"]).arg(&self.0).arg(".");
        let mut child = tar.stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(failed)?;
        let output =
            child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Box::pin(Archive { output, _child: child }))
    }

    async fn restore(&self, _: &Context, _: &str, mut content: PartStream) -> Result<()> {
        let mut tar = Command::new("tar");
        tar.args(["-xf", "-", "-C"]).arg(&self.0).stdin(Stdio::piped());
        let mut child = tar.spawn().map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            let mut buffer = vec![0; 256 << 10];
            loop {
                let read = content.read(&mut buffer).await.map_err(failed)?;
                if read == 0 {
                    break;
                }
                tokio::io::AsyncWriteExt::write_all(&mut input, &buffer[..read])
                    .await
                    .map_err(failed)?;
            }
        }
        let status = child.wait().await.map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(failed(std::io::Error::other(status.to_string())))
        }
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "run tar", "it failed").with_source(source)
}

struct Archive {
    output: ChildStdout,
    _child: Child,
}

impl AsyncRead for Archive {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

/// One part of so many MiB that do not compress, made as it is read.
#[derive(Debug)]
pub(crate) struct Endless(pub(crate) u64);

#[async_trait::async_trait]
impl BackupSource for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["stream".to_owned()])
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        Ok(Box::pin(Noise { random: Random::new(1), left: self.0 << 20 }))
    }

    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "restore", "there is nowhere to"))
    }
}

struct Noise {
    random: Random,
    left: u64,
}

impl AsyncRead for Noise {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.left >= 8 && buffer.remaining() >= 8 {
            let word = self.random.word();
            buffer.put_slice(&word.to_le_bytes());
            self.left -= 8;
        }
        Poll::Ready(Ok(()))
    }
}
