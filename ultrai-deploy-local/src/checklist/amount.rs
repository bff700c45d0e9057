//! How much of something there has to be.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// The units that are known, the largest first.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes, `5GiB`, or a share of all there are, `10%`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount {
    text: String,
    size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Bytes(u64),
    /// Of 1.
    Share(f64),
}

impl Amount {
    /// Parses a number with a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB` or `%`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for everything else, also for `GB`, which is not a power of 1024.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let invalid = || {
            let message = format!("`{}` is no amount", text.escape_debug());
            Error::new(ErrorKind::Invalid, "read an amount", message)
                .with_advice("write for example 5GiB, 512MiB or 10%")
                .without_effect()
        };
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let (number, unit) = (&text[..at], text[at..].trim());
        let number = f64::from_str(number).map_err(|source| invalid().with_source(source))?;
        let size = if unit == "%" {
            Some(number / 100.0).filter(|share| *share <= 1.0).map(Size::Share)
        } else {
            let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
            factor.and_then(|factor| bytes(number, factor)).map(Size::Bytes)
        };
        Ok(Self { text: text.to_owned(), size: size.ok_or_else(invalid)? })
    }

    /// How many bytes of `total` it is.
    pub fn of(&self, total: u64) -> u64 {
        match self.size {
            Size::Bytes(bytes) => bytes,
            Size::Share(share) => bytes(share, total).unwrap_or(total),
        }
    }
}

/// As people read it: `3.1 GiB`.
pub(super) fn shown(bytes: u64) -> String {
    let (unit, factor) = UNITS.iter().find(|(_, factor)| bytes >= *factor).unwrap_or(&("B", 1));
    // In tenths, so that no figure is shown as more than it is.
    let tenths = u128::from(bytes) * 10 / u128::from(*factor);
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "to be exact to the byte makes no sense here, and what is too large is refused"
)]
fn bytes(number: f64, factor: u64) -> Option<u64> {
    let bytes = number * factor as f64;
    (0.0..9.0e18).contains(&bytes).then_some(bytes as u64)
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Amount {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let total = 200 << 30;
        for (text, expected) in [
            ("5GiB", 5 << 30),
            ("1.5 GiB", 3 << 29),
            ("512MiB", 512 << 20),
            ("4KiB", 4096),
            ("0B", 0),
            ("2TiB", 2 << 40),
            ("10%", 20 << 30),
            ("100%", 200 << 30),
        ] {
            assert_eq!(Amount::parse(text).unwrap().of(total), expected, "{text}");
        }
        for bad in ["", "5", "5GB", "GiB", "-1GiB", "101%", "1e3B", "1.2.3B", "99999999TiB", "5 5B"]
        {
            let error = Amount::parse(bad).unwrap_err();
            assert!(error.advice().is_some(), "{bad}");
        }
    }

    #[test]
    fn no_figure_is_shown_as_more_than_it_is() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            ((5 << 30) - 1, "4.9 GiB"),
            (5 << 30, "5 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
