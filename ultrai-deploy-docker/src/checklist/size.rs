//! Sizes as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::compose::units;

/// A size: `512MiB`, `5GiB`; units are powers of 1024, as in compose files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Shown and stored with the largest unit that leaves at least one.
const UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Size {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// What a text that is no size is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size: write 512MiB or 5GiB")]
pub struct NoSize(String);

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let bytes = units::size(text).and_then(|bytes| u64::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| NoSize(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, unit)) = UNITS.iter().find(|(_, unit)| self.0 >= *unit) else {
            return write!(f, "{} B", self.0);
        };
        // One decimal; the whole part and the rest are exact.
        let (whole, rest) = (self.0 / unit, (self.0 % unit) * 10 / unit);
        if rest == 0 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{rest} {name}") }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match UNITS.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", self.0 / unit)),
            None => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown, stored) in [
            ("5GiB", 5 << 30, "5 GiB", "5GiB"),
            ("1.5g", 3 << 29, "1.5 GiB", "1536MiB"),
            ("512", 512, "512 B", "512"),
            ("0", 0, "0 B", "0"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
            assert_eq!(serde_json::to_value(size).unwrap(), stored);
            assert_eq!(stored.parse(), Ok(size));
        }
        for text in ["", "much", "5 parsecs", "-1GiB"] {
            assert!(text.parse::<Size>().unwrap_err().to_string().contains("5GiB"), "{text}");
        }
    }
}
