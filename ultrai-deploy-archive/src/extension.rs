//! What stands before a header and replaces parts of it.

use crate::failure::Refusal;

/// What extensions say of the entry after them.
#[derive(Debug, Default)]
pub(crate) struct Extension {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    /// Whether there was one of each kind: a second one would leave open which counts.
    has_records: bool,
}

impl Extension {
    /// GNU's long name or target.
    pub(crate) fn add_long(&mut self, kind: u8, content: &[u8]) -> Result<(), Refusal> {
        let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
        let (text, rest) = content.split_at(end);
        if text.is_empty() || rest.iter().any(|byte| *byte != 0) {
            return Err(Refusal::new("a long name is empty or holds a NUL"));
        }
        let place = if kind == b'L' { &mut self.name } else { &mut self.link };
        set(place, text.to_vec())
    }

    /// POSIX records: `length key=value\n`.
    pub(crate) fn add_records(&mut self, mut content: &[u8]) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.has_records, true) {
            return Err(Refusal::new("an entry has two extensions of one kind"));
        }
        while !content.is_empty() {
            let (key, value, rest) =
                record(content).ok_or_else(|| Refusal::new("an extension cannot be read"))?;
            content = rest;
            match key {
                b"path" => set(&mut self.name, value.to_vec())?,
                b"linkpath" => set(&mut self.link, value.to_vec())?,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().filter(|text| is_decimal(text));
                    let size = size.and_then(|text| text.parse().ok());
                    set(&mut self.size, size.ok_or_else(|| Refusal::new("a size is no number"))?)?;
                }
                b"uid" | b"gid" | b"uname" | b"gname" | b"mtime" | b"atime" | b"ctime"
                | b"comment" => {}
                key if key.starts_with(b"SCHILY.xattr.") => {}
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(Refusal::new("it is a sparse file, which could grow without end"));
                }
                key => {
                    let key = crate::failure::quote(key);
                    return Err(Refusal::new(format!("the extension `{key}` is not known")));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.size.is_none() && !self.has_records
    }
}

/// What is given twice could be read in two ways.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if place.replace(value).is_some() {
        return Err(Refusal::new("a name or size is given twice"));
    }
    Ok(())
}

fn record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().take(20).position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(&content[..space]).ok().filter(|text| is_decimal(text))?;
    let length: usize = length.parse().ok()?;
    let body = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    // An empty value means "as if it had not been given", which not all programs know.
    let is_plain = !key.is_empty() && !key.contains(&0) && !value.is_empty();
    is_plain.then_some((key, value, content.get(length..)?))
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
