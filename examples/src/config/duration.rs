//! Durations with units: `500ms`, `30s`, `1h30m`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Longest duration that is accepted: more is a slip, and far beyond it clocks overflow.
const MAX: Duration = Duration::from_hours(24 * 366);

/// Parses whole numbers with units, the larger unit first.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let example =
        || "write a number with a unit (ms, s, m, h or d), for example \"30s\" or \"1h30m\"";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(example().to_owned());
    }
    let mut total: u64 = 0;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let Ok(number) = number.parse::<u64>() else { return Err(example().to_owned()) };
        if unit.is_empty() && after.is_empty() {
            return Err(format!("add a unit: write \"{}s\" for seconds", text.trim()));
        }
        let Some(index) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(example().to_owned());
        };
        total = number
            .checked_mul(units[index].1)
            .and_then(|millis| total.checked_add(millis))
            .ok_or_else(too_long)?;
        units = &units[index + 1..];
        rest = after;
    }
    let total = Duration::from_millis(total);
    if total > MAX { Err(too_long()) } else { Ok(total) }
}

fn too_long() -> String {
    "write at most \"366d\"".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1m500ms", 60_500),
            ("0s", 0),
            (" 2s ", 2_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn the_remedy_is_told() {
        assert_eq!(parse("30"), Err("add a unit: write \"30s\" for seconds".to_owned()));
        for bad in ["", "s", "1.5s", "-1s", "30 s", "1x", "30m1h", "1s1s", "1é"] {
            assert!(parse(bad).unwrap_err().contains("\"1h30m\""), "{bad}");
        }
        for long in ["367d", "99999999999999999999d", "18446744073709551615d"] {
            assert!(parse(long).is_err(), "{long}");
        }
    }
}
