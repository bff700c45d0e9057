//! The values that are looked for, and the one pass over bytes that finds them.

use zeroize::Zeroizing;

/// What stands in the place of a value.
const MARK: &[u8] = b"***";

/// Known values, longest first; zeroed when dropped.
#[derive(Clone, Default)]
pub(super) struct Values(Vec<Zeroizing<String>>);

/// Where a pass over a text in pieces stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pass {
    /// How many of the next bytes belong to values that began before them.
    covered: usize,
    /// Whether the byte before was cut out.
    is_cut: bool,
}

impl Values {
    pub(super) fn add(&mut self, values: impl IntoIterator<Item = Zeroizing<String>>) {
        self.0.extend(values);
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The length of the longest one, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.first().map_or(0, |value| value.len())
    }

    /// Whether any value is in `text`.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|value| text.contains(value.as_str()))
    }

    /// `text` without the values.
    pub(super) fn cut(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        self.pass(&mut Pass::default(), text.as_bytes(), true, &mut out);
        // Values are whole characters, and so is what is between them.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends to `out` what is left of the beginning of `bytes`, and returns how many of them that
    /// was: all where they are the `end`, else all but those in which a value may begin that ends
    /// later. Whatever any values cover is cut out, also where they overlap.
    pub(super) fn pass(
        &self,
        pass: &mut Pass,
        bytes: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let kept = if end { 0 } else { self.longest().saturating_sub(1) };
        let done = bytes.len().saturating_sub(kept);
        for (at, byte) in bytes.iter().enumerate().take(done) {
            let found = self.0.iter().find(|value| bytes[at..].starts_with(value.as_bytes()));
            pass.covered = pass.covered.max(found.map_or(0, |value| value.len()));
            match (pass.covered, pass.is_cut) {
                (0, _) => out.push(*byte),
                (_, false) => out.extend_from_slice(MARK),
                (_, true) => {}
            }
            pass.is_cut = pass.covered > 0;
            pass.covered = pass.covered.saturating_sub(1);
        }
        done
    }
}

impl IntoIterator for Values {
    type Item = Zeroizing<String>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
