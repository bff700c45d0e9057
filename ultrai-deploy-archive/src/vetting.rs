//! Which entries pass. Pure: it is handed headers and extensions, and told nothing of contents.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::{
    entry::{Entry, Kind},
    extension::Extension,
    failure::Refusal,
    header::{BLOCK, Header},
    limits::{EXTENSION, Limits},
    name,
};

/// What follows a header.
#[derive(Debug)]
pub(crate) enum Next {
    /// The content of an extension of this kind and size.
    Extension(u8, u64),
    /// The content of an entry, if it has any.
    Entry(Entry),
    /// The end.
    End,
}

/// What is known of the archive so far.
#[derive(Debug)]
pub(crate) struct Vetting {
    limits: Limits,
    /// The directory that everything is in, by its name in the archive.
    root: Vec<u8>,
    entries: u64,
    bytes: u64,
    pending: Extension,
    hasher: RandomState,
    /// Hashes of names. Two names of one hash would only be refused.
    seen: HashSet<u64>,
    links: HashSet<u64>,
}

impl Vetting {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            root: Vec::new(),
            entries: 0,
            bytes: 0,
            pending: Extension::default(),
            hasher: RandomState::new(),
            seen: HashSet::new(),
            links: HashSet::new(),
        }
    }

    pub(crate) fn set_root(&mut self, root: &str) {
        root.as_bytes().clone_into(&mut self.root);
    }

    pub(crate) fn header(&mut self, block: &[u8; BLOCK]) -> Result<Next, Refusal> {
        if block.iter().all(|byte| *byte == 0) {
            if self.pending.is_empty() {
                return Ok(Next::End);
            }
            return Err(Refusal::new("it ends after an extension without its entry"));
        }
        let header = Header::new(block)?;
        let size = header.size().map_err(|why| why.named(&header.name()))?;
        match header.kind() {
            kind @ (b'x' | b'L' | b'K') if size <= EXTENSION => Ok(Next::Extension(kind, size)),
            b'x' | b'L' | b'K' => {
                Err(Refusal::new(format!("an extension of {size} bytes is too long")))
            }
            _ => {
                let extension = std::mem::take(&mut self.pending);
                let given = extension.name.clone().unwrap_or_else(|| header.name());
                self.entry(&header, size, extension)
                    .map(Next::Entry)
                    .map_err(|why| why.named(inner(&self.root, &given).unwrap_or(&given)))
            }
        }
    }

    pub(crate) fn extension(&mut self, kind: u8, content: &[u8]) -> Result<(), Refusal> {
        match kind {
            b'x' => self.pending.add_records(content),
            kind => self.pending.add_long(kind, content),
        }
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        size: u64,
        extension: Extension,
    ) -> Result<Entry, Refusal> {
        let given = extension.name.unwrap_or_else(|| header.name());
        let size = extension.size.unwrap_or(size);
        let link = extension.link.unwrap_or_else(|| header.link());
        let root = self.root.clone();
        let refuse = |why: String| Refusal::of(inner(&root, &given).unwrap_or(&given), why);
        let path = self.path(&given).map_err(refuse)?;
        let kind = match header.kind() {
            b'0' | 0 => Kind::File(size),
            b'5' => Kind::Directory,
            b'1' => {
                Kind::Hard(self.path(&link).map_err(|why| refuse(format!("its target: {why}")))?)
            }
            b'2' => {
                name::check_target(&path, &link).map_err(refuse)?;
                Kind::Symbolic(link)
            }
            other => return Err(refuse(refused_kind(other))),
        };
        if size != 0 && !matches!(kind, Kind::File(_)) {
            return Err(refuse(format!("it has {size} bytes of content and is no file")));
        }
        if matches!(kind, Kind::File(_)) && given.ends_with(b"/") {
            return Err(refuse("it is a file with the name of a directory".to_owned()));
        }
        self.place(&path, &kind).map_err(refuse)?;
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(refuse(format!("there are more than {} entries", self.limits.entries)));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(refuse(format!("there are more than {} bytes", self.limits.bytes)));
        }
        Ok(Entry { path, kind, mode: header.mode()?, modified: header.modified()? })
    }

    /// A clean name below the root.
    fn path(&self, given: &[u8]) -> Result<Vec<u8>, String> {
        let clean = name::clean(given)?;
        let below = inner(&self.root, &clean).map(<[u8]>::to_vec);
        below.ok_or_else(|| format!("it is not in `{}`", crate::failure::quote(&self.root)))
    }

    /// Notes where an entry goes, unless something there is in its way.
    fn place(&mut self, path: &[u8], kind: &Kind) -> Result<(), String> {
        if path.is_empty() && *kind != Kind::Directory {
            return Err("it would replace the root".to_owned());
        }
        if self.leads_through_link(path) {
            return Err("its name leads through a link".to_owned());
        }
        if let Kind::Hard(target) = kind {
            let known = self.hash(target);
            if self.leads_through_link(target) || self.links.contains(&known) {
                return Err("it is another name of what a link leads to".to_owned());
            }
            if target.is_empty() || !self.seen.contains(&known) {
                let target = crate::failure::quote(target);
                return Err(format!("it is another name of `{target}`, which is not there"));
            }
        }
        let own = self.hash(path);
        if !self.seen.insert(own) {
            return Err("it is there twice".to_owned());
        }
        if matches!(kind, Kind::Symbolic(_)) {
            self.links.insert(own);
        }
        Ok(())
    }

    fn leads_through_link(&self, path: &[u8]) -> bool {
        !self.links.is_empty()
            && name::parents(path).any(|parent| self.links.contains(&self.hash(parent)))
    }

    fn hash(&self, path: &[u8]) -> u64 {
        self.hasher.hash_one(path)
    }
}

/// What a name is below a directory; empty for the directory itself.
fn inner<'a>(root: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    if root.is_empty() {
        return Some(name);
    }
    let rest = name.strip_prefix(root)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn refused_kind(kind: u8) -> String {
    match kind {
        b'3' | b'4' => "it is a device".to_owned(),
        b'6' => "it is a pipe".to_owned(),
        b'S' => "it is a sparse file, which could grow without end".to_owned(),
        b'g' => "it changes the meaning of all entries after it".to_owned(),
        other => format!("it is of the unknown kind `{}`", other.escape_ascii()),
    }
}
