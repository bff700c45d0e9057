//! The top of a BSON document: what is inside other documents is passed over by its length, so
//! nesting costs nothing. <https://bsonspec.org/spec.html>

use std::str;

/// The values of a document that are not documents themselves.
#[derive(Debug)]
pub(super) struct Document<'a>(Vec<(&'a str, Value<'a>)>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(&'a str),
    Bool(bool),
    /// Of a type that is of no interest here.
    Other,
}

impl Value<'_> {
    /// Whether it means yes: `true`, or a number but 0, as servers write `ok`.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Bool(value) => *value,
            Self::Text(_) | Self::Other => false,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl<'a> Document<'a> {
    /// Reads a document that is exactly these bytes; nothing when it is damaged.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        if rest.length()? != bytes.len() {
            return None;
        }
        let mut values = Vec::new();
        loop {
            let kind = rest.take(1)?[0];
            if kind == 0 {
                return rest.0.is_empty().then_some(Self(values));
            }
            let name = rest.name()?;
            values.push((name, rest.value(kind)?));
        }
    }

    /// The value of this name; the first where there are several.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The text of this name.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What is still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(i32::from_le_bytes(bytes)).ok()
    }

    /// A text that ends with the first zero.
    fn name(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let name = self.take(end)?;
        self.take(1)?;
        str::from_utf8(name).ok()
    }

    /// A text with its length, the zero at its end included, before it.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        let (last, text) = self.take(length)?.split_last()?;
        if *last != 0 {
            return None;
        }
        str::from_utf8(text).ok()
    }

    /// Passes over a document, whose length counts its own four bytes.
    fn document(&mut self) -> Option<()> {
        let length = self.length()?.checked_sub(4)?;
        self.take(length).map(|_| ())
    }

    fn value(&mut self, kind: u8) -> Option<Value<'a>> {
        Some(match kind {
            0x01 => Value::Number(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            0x10 => Value::Number(i32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            0x12 => {
                let number = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
                #[expect(clippy::cast_precision_loss, reason = "only whether it is 0 matters")]
                Value::Number(number as f64)
            }
            0x08 => match self.take(1)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            0x02 => Value::Text(self.text()?),
            other => {
                self.pass_over(other)?;
                Value::Other
            }
        })
    }

    fn pass_over(&mut self, kind: u8) -> Option<()> {
        match kind {
            // documents, arrays, and code with its scope: all begin with their whole length
            0x03 | 0x04 | 0x0f => self.document()?,
            // binary: its length, and a byte that is not counted
            0x05 => {
                let length = self.length()?;
                self.take(length.checked_add(1)?)?;
            }
            0x07 => _ = self.take(12)?,
            // dates and timestamps
            0x09 | 0x11 => _ = self.take(8)?,
            0x0b => {
                self.name()?;
                self.name()?;
            }
            // a pointer: a text and an object's id
            0x0c => {
                self.text()?;
                self.take(12)?;
            }
            // code and symbols
            0x0d | 0x0e => _ = self.text()?,
            0x13 => _ = self.take(16)?,
            // nothing: undefined, null, the least and the greatest key
            0x06 | 0x0a | 0x7f | 0xff => {}
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(elements: &[u8]) -> Vec<u8> {
        let length = i32::try_from(elements.len() + 5).unwrap();
        [&length.to_le_bytes(), elements, &[0]].concat()
    }

    #[test]
    fn values_of_all_kinds() {
        let inner = document(b"\x08ok\0\x00");
        let elements = [
            b"\x01double\0\0\0\0\0\0\0\xf0\x3f".as_slice(),
            b"\x12long\0\x02\0\0\0\0\0\0\0",
            b"\x02text\0\x03\0\0\0ab\0",
            b"\x03inner\0",
            &inner,
            b"\x05bytes\0\x02\0\0\0\0xy",
            b"\x07id\0abcdefghijkl",
            b"\x09date\0\0\0\0\0\0\0\0\0",
            b"\x11time\0\0\0\0\0\0\0\0\0",
            b"\x0bpattern\0a\0b\0",
            b"\x0anull\0",
            b"\x10ok\0\x01\0\0\0",
        ]
        .concat();
        let bytes = document(&elements);
        let read = Document::read(&bytes).unwrap();
        assert_eq!(read.get("double"), Some(&Value::Number(1.0)));
        assert_eq!(read.get("long").and_then(Value::number), Some(2.0));
        assert_eq!(read.text("text"), Some("ab"));
        assert_eq!(read.get("bytes"), Some(&Value::Other));
        // what is inside another document is not taken for its own
        assert!(read.get("ok").unwrap().is_true());
    }

    #[test]
    fn damaged_documents_are_none_and_end_nothing() {
        let text_too_long = document(b"\x02a\0\xff\xff\xff\x7fx\0");
        let negative = document(b"\x02a\0\xff\xff\xff\xffx\0");
        let deep = document(&[b"\x03a\0".repeat(10_000), vec![0; 10]].concat());
        let whole = document(b"\x10ok\0\x01\0\0\0");
        for bytes in [&[][..], &[5, 0, 0, 0], &[4, 0, 0, 0, 0], &text_too_long, &negative, &deep] {
            assert!(Document::read(bytes).is_none(), "{bytes:?}");
        }
        // cut anywhere, or with any byte changed, it is read or it is not
        for end in 0..whole.len() {
            assert!(Document::read(&whole[..end]).is_none(), "{end}");
            for byte in 0..=u8::MAX {
                let mut other = whole.clone();
                other[end] = byte;
                let _either = Document::read(&other);
            }
        }
    }
}
