//! Archives byte by byte.

/// An archive that is being forged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forge(Vec<u8>);

impl Forge {
    /// A header of this kind, with a name, a target and a size; no content.
    pub(crate) fn header(self, kind: u8, name: &str, link: &str, size: u64) -> Self {
        self.changed(kind, name, link, size, |_block| {})
    }

    /// The same with something changed before the checksum is made.
    pub(crate) fn changed(
        mut self,
        kind: u8,
        name: &str,
        link: &str,
        size: u64,
        change: impl FnOnce(&mut [u8; 512]),
    ) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[136..147].copy_from_slice(b"00000000000");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        change(&mut block);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    /// Content and its padding.
    pub(crate) fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// An entry of this kind with content.
    pub(crate) fn entry(self, kind: u8, name: &str, content: &[u8]) -> Self {
        self.header(kind, name, "", content.len() as u64).content(content)
    }

    /// POSIX records for the next entry.
    pub(crate) fn records(self, records: &[(&str, &str)]) -> Self {
        let mut content = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length = rest.len() + length.to_string().len();
            }
            content += &(length.to_string() + &rest);
        }
        self.entry(b'x', "PaxHeaders/x", content.as_bytes())
    }

    /// Without an end.
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    /// With its end.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
