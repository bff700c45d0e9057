//! Messages of MongoDB's wire protocol: a header of 16 bytes, flags, and one document.
//! <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::finding::said;

/// OP_MSG.
const MESSAGE: i32 = 2013;
/// Bytes of a message before its document: the header, the flags, and the kind of the section.
const BEFORE_DOCUMENT: usize = 16 + 4 + 1;
/// Shortest document: its length and the zero at its end.
const LEAST_DOCUMENT: usize = 5;
/// Longest answer that is read, in bytes. An answer to `hello` has some hundreds, and about 30 more
/// for each member of a replica set, of which there are 50 at most.
const MAX_MESSAGE: usize = 64 * 1024;
/// The number of the request, which its answer repeats.
const REQUEST: i32 = 1;

/// `{hello: 1, $db: "admin"}`, as a message.
pub(super) fn hello() -> Vec<u8> {
    let mut document = vec![0; 4];
    document.extend(b"\x10hello\0\x01\0\0\0");
    document.extend(b"\x02$db\0\x06\0\0\0admin\0");
    document.push(0);
    let length = i32::try_from(document.len()).unwrap_or(i32::MAX);
    document[..4].copy_from_slice(&length.to_le_bytes());

    let whole = i32::try_from(BEFORE_DOCUMENT + document.len()).unwrap_or(i32::MAX);
    let mut message = Vec::new();
    for number in [whole, REQUEST, 0, MESSAGE, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(document);
    message
}

/// Reads the answer; its document, not looked at yet. What came instead is a text for people.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    let broken = |error| format!("the connection broke ({error})");
    let wanted = u64::try_from(BEFORE_DOCUMENT).unwrap_or(u64::MAX);
    from.take(wanted).read_to_end(&mut head).await.map_err(broken)?;
    let whole = match (number(&head, 0), number(&head, 8), number(&head, 12)) {
        _ if head.is_empty() => return Err("it closed the connection".to_owned()),
        (Some(whole), Some(REQUEST), Some(MESSAGE)) => usize::try_from(whole).unwrap_or(0),
        _ => return Err(format!("it sent {}, which is no MongoDB", said(&head))),
    };
    // Only a section of kind 0 is one document.
    if head.len() < BEFORE_DOCUMENT || head[BEFORE_DOCUMENT - 1] != 0 {
        return Err("its answer to hello has no document".to_owned());
    }
    if !(BEFORE_DOCUMENT + LEAST_DOCUMENT..=MAX_MESSAGE).contains(&whole) {
        return Err(format!("its answer to hello says that it has {whole} bytes"));
    }
    let mut body = vec![0; whole - BEFORE_DOCUMENT];
    match from.read_exact(&mut body).await {
        Ok(_) => Ok(body),
        Err(error) => Err(format!("its answer to hello broke off ({error})")),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(i32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::bson::Document;
    use super::*;

    #[test]
    fn hello_is_a_whole_message() {
        let message = hello();
        assert_eq!(number(&message, 0), i32::try_from(message.len()).ok());
        let document = Document::read(&message[BEFORE_DOCUMENT..]).unwrap();
        assert_eq!(document.text("$db"), Some("admin"));
        assert!(document.get("hello").unwrap().is_true());
    }

    #[tokio::test]
    async fn answers_that_are_none() {
        let answer = |whole: i32, to: i32, kind: i32, section: u8| {
            let mut bytes = Vec::new();
            for number in [whole, 7, to, kind, 0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.push(section);
            bytes
        };
        for (bytes, told) in [
            (vec![], "closed"),
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "`HTTP/1.1 400 Bad Requ`"),
            (vec![0xff; 100], "no MongoDB"),
            (answer(100, 2, 2013, 0), "no MongoDB"),
            (answer(100, 1, 1, 0), "no MongoDB"),
            (answer(100, 1, 2013, 1), "no document"),
            (answer(100, 1, 2013, 0)[..20].to_vec(), "no document"),
            (answer(100, 1, 2013, 0), "broke off"),
            (answer(i32::MAX, 1, 2013, 0), "2147483647 bytes"),
            (answer(-1, 1, 2013, 0), "0 bytes"),
            (answer(21, 1, 2013, 0), "21 bytes"),
        ] {
            let error = read(&mut &bytes[..]).await.unwrap_err();
            assert!(error.contains(told), "{bytes:?}: {error}");
        }
    }
}
