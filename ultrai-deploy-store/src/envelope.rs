//! What is around the content of every small object: a line that says how to read it.
//!
//! ```text
//! ultrai-deploy 1 plain 5f…(nonce) 9a…(SHA-256 of what follows)
//! {"run":…}
//! ```
//! The nonce makes what one call writes different from what any other writes, so that a caller whose
//! answer was lost can tell its own object from another's.

use std::{fs::File, io::Read, sync::Arc};

use sha2::{Digest, Sha256};
use ultrai_deploy_core::{Error, ErrorKind, Result, digest::hex};
use zeroize::Zeroizing;

use crate::sealing::Sealing;

const NAME: &str = "ultrai-deploy";
const FORMAT: u16 = 1;
const PLAIN: &str = "plain";
const SEALED: &str = "sealed";
/// Longer than any first line of this format.
const LONGEST_HEAD: usize = 256;

/// The content with its line, encrypted where that is asked for.
pub(crate) fn close(content: &[u8], sealing: Option<&Arc<dyn Sealing>>) -> Result<Vec<u8>> {
    let nonce = hex(&random::<16>()?);
    let sealed = sealing.map(|sealing| sealing.seal(content)).transpose()?;
    let (word, body) = match &sealed {
        Some(sealed) => (SEALED, sealed.as_slice()),
        None => (PLAIN, content),
    };
    let sum = hex(&Sha256::digest(body));
    let mut bytes = format!("{NAME} {FORMAT} {word} {nonce} {sum}\n").into_bytes();
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The content of an object. `what` names it in errors.
///
/// # Errors
/// [`ErrorKind::Corrupt`], [`ErrorKind::Unsupported`] for a newer format, [`ErrorKind::Denied`] when
/// it is encrypted and there is no key.
pub(crate) fn open(
    bytes: &[u8],
    sealing: Option<&Arc<dyn Sealing>>,
    operation: &'static str,
    what: &str,
) -> Result<Zeroizing<Vec<u8>>> {
    let (head, body) = split(bytes).ok_or_else(|| damaged(operation, what, "it has no head"))?;
    let mut words = head.split(' ');
    if words.next() != Some(NAME) {
        return Err(damaged(operation, what, "something else wrote it"));
    }
    match words.next().and_then(|format| format.parse::<u16>().ok()) {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => {
            let message = format!("{what} has format {format}; this version reads {FORMAT}");
            return Err(Error::new(ErrorKind::Unsupported, operation, message)
                .with_advice("use the newer version of this program that wrote it")
                .without_effect());
        }
        _ => return Err(damaged(operation, what, "its format is unknown")),
    }
    let (word, _nonce, sum) = (words.next(), words.next(), words.next());
    if sum != Some(&hex(&Sha256::digest(body))) {
        return Err(damaged(operation, what, "its checksum does not match"));
    }
    match (word, sealing) {
        (Some(PLAIN), _) => Ok(Zeroizing::new(body.to_vec())),
        (Some(SEALED), Some(sealing)) => Ok(Zeroizing::new(sealing.open(body)?)),
        (Some(SEALED), None) => {
            Err(Error::new(ErrorKind::Denied, operation, format!("{what} is encrypted"))
                .with_advice("name the file with the key that it was encrypted for")
                .without_effect())
        }
        _ => Err(damaged(operation, what, "its head is unknown")),
    }
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(LONGEST_HEAD).position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((head, &bytes[end + 1..]))
}

/// An object that nobody can have written like this.
pub(crate) fn damaged(
    operation: &'static str,
    what: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Corrupt, operation, format!("{what} is damaged"))
        .with_advice("put the object back from an older version or a copy of the bucket")
        .with_source(why)
        .without_effect()
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(
        |source| {
            Error::new(ErrorKind::Io, "get random bytes", "/dev/urandom cannot be read")
                .with_source(source)
                .without_effect()
        },
    )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_damaged() {
        let bytes = close(b"content\n\0", None).unwrap();
        let read = |bytes: &[u8]| open(bytes, None, "read", "x");
        assert_eq!(**read(&bytes).unwrap(), *b"content\n\0");
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bytes in [&changed[..], &bytes[..bytes.len() - 1], b"", b"\n", b"else 1 plain a b\n"] {
            assert_eq!(read(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let newer = b"ultrai-deploy 2 plain a b\nx";
        assert_eq!(read(newer).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn two_calls_write_two_things() {
        assert_ne!(close(b"same", None).unwrap(), close(b"same", None).unwrap());
    }
}
