//! One reply in Redis's protocol (RESP), read up to a limit.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::look::Looking;

/// Longest line that is read, in bytes; those that are wanted have seven at most, and errors are a
/// sentence.
const MAX_LINE: u64 = 4096;

/// A reply, as far as a probe wants to know it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR unknown command`
    Error(Vec<u8>),
    /// Any other, by its first line: numbers, bulk strings, arrays.
    Other(Vec<u8>),
}

impl Reply {
    /// Its first line; of errors and simple texts without the byte that tells which it is.
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::Other(text) => text,
        }
    }
}

/// Reads a reply. What came instead is a text for people.
pub(super) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    looking: &Looking,
) -> Result<Reply, String> {
    let mut line = Vec::new();
    if let Err(error) = from.take(MAX_LINE).read_until(b'\n', &mut line).await {
        return Err(format!("the connection broke ({error})"));
    }
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Err(match line.len() {
            0 => "it closed the connection".to_owned(),
            _ => format!("it sent {}, which is no Redis,", looking.said(&line)),
        });
    };
    match text.split_first() {
        Some((b'+', rest)) => Ok(Reply::Simple(rest.to_vec())),
        Some((b'-', rest)) => Ok(Reply::Error(rest.to_vec())),
        // The first bytes of all other types of RESP 2 and 3.
        Some((
            b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'>',
            _,
        )) => Ok(Reply::Other(text.to_vec())),
        _ => Err(format!("it sent {}, which is no Redis,", looking.said(&line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies() {
        let long = [b"+", [b'x'; 10_000].as_slice(), b"\r\n"].concat();
        for (bytes, reply) in [
            (b"+PONG\r\n".as_slice(), Ok(Reply::Simple(b"PONG".to_vec()))),
            (b"-ERR no\r\n+OK\r\n", Ok(Reply::Error(b"ERR no".to_vec()))),
            (b"$4\r\nPONG\r\n", Ok(Reply::Other(b"$4".to_vec()))),
            (b"", Err("closed")),
            (b"+PON", Err("`+PON`, which is no Redis")),
            (b"\r\n", Err("no Redis")),
            (b"\n", Err("no Redis")),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Err("`SSH-2.0-OpenSSH_9.6`, which")),
            (&[0xff; 64], Err("no Redis")),
            (&long, Err("no Redis")),
        ] {
            let found = read(&mut &bytes[..], &Looking::default()).await;
            match reply {
                Ok(reply) => assert_eq!(found, Ok(reply)),
                Err(part) => assert!(found.unwrap_err().contains(part), "{bytes:?}"),
            }
        }
    }
}
