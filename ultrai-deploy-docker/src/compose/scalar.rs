//! Plain scalars where a text is wanted: `0400` is the number 256, as Compose's parser has it.

use super::{
    timestamp,
    yaml::{Kind, Node},
};

/// A scalar as text, or nothing for null and for what is no scalar.
///
/// Quoted scalars stay as written. Plain ones are resolved and printed as Compose does: octal,
/// hexadecimal and binary integers in decimal, floats shortest, dates in full, `yes` as it is.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar { .. } if node.is_null() => None,
        Kind::Scalar { text, plain: false } => Some(text.clone()),
        Kind::Scalar { text, plain: true } => {
            Some(if node.tag.is_some() { text.clone() } else { resolve(text) })
        }
        _ => None,
    }
}

/// Whether a scalar is a text to Compose, and not a number, boolean, time or null.
pub(super) fn is_text(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar { plain: false, .. } => true,
        Kind::Scalar { text, plain: true } => {
            node.tag.as_deref() == Some("!!str")
                || (node.tag.is_none()
                    && !node.is_null()
                    && !is_boolean(node)
                    && integer(text).is_none()
                    && float(text).is_none()
                    && timestamp::printed(text).is_none())
        }
        _ => false,
    }
}

/// Whether a scalar is a boolean.
pub(super) fn is_boolean(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar { text, plain: true }
        if matches!(text.as_str(), "true" | "True" | "TRUE" | "false" | "False" | "FALSE"))
}

fn resolve(text: &str) -> String {
    if matches!(text, "true" | "True" | "TRUE") {
        return "true".to_owned();
    }
    if matches!(text, "false" | "False" | "FALSE") {
        return "false".to_owned();
    }
    if let Some(number) = integer(text) {
        return number.to_string();
    }
    if let Some(float) = float(text) {
        return float;
    }
    timestamp::printed(text).unwrap_or_else(|| text.to_owned())
}

/// An integer in any of YAML's notations.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (radix, plain) = if let Some(octal) = plain.strip_prefix("0o") {
        (8, octal)
    } else if let Some(hexadecimal) = plain.strip_prefix("0x") {
        (16, hexadecimal)
    } else if let Some(binary) = plain.strip_prefix("0b") {
        (2, binary)
    } else if plain.len() > 1 && plain.starts_with('0') {
        (8, &plain[1..])
    } else {
        (10, plain.as_str())
    };
    if !plain.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(plain, radix)
        .map(i128::from)
        .or_else(|_| u64::from_str_radix(plain, radix).map(i128::from))
        .ok()?;
    Some(if negative { -number } else { number })
}

/// A float, printed as Go prints it: the shortest digits, with an exponent from 1e6 on and
/// below 1e-4. Integers that are too large for 64 bits, and octal ones with a 9, are floats.
fn float(text: &str) -> Option<String> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    match body {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { "-Inf" } else { "+Inf" }.to_owned());
        }
        ".nan" | ".NaN" | ".NAN" => return Some("NaN".to_owned()),
        _ => {}
    }
    let is_number = body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.contains(|c: char| c.is_ascii_digit())
        && body
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '_'));
    if !is_number {
        return None;
    }
    let number: f64 = text.replace('_', "").parse().ok()?;
    if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) {
        let printed = format!("{number:e}");
        let (mantissa, exponent) = printed.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let sign = if exponent < 0 { '-' } else { '+' };
        return Some(format!("{mantissa}e{sign}{:02}", exponent.abs()));
    }
    Some(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml;

    #[test]
    fn plain_scalars_read_as_compose_reads_them() {
        for (written, expected) in [
            ("0400", "256"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            ("-7", "-7"),
            ("089", "89"),
            ("1234567.0", "1.234567e+06"),
            ("999999.5", "999999.5"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("2001-01-01", "2001-01-01 00:00:00 +0000 UTC"),
            ("yes", "yes"),
            ("True", "true"),
            ("12:30", "12:30"),
            ("1.2.3", "1.2.3"),
            ("18446744073709551615", "18446744073709551615"),
            ("\"0400\"", "0400"),
            ("'true '", "true "),
            (".5", "0.5"),
            ("1e30", "1e+30"),
            ("v1", "v1"),
        ] {
            let node = yaml::parse(&format!("a: {written}\n")).unwrap().remove(0);
            let value = text(node.get("a").unwrap());
            assert_eq!(value.as_deref(), Some(expected), "{written}");
        }
        let node = yaml::parse("a: ~\nb:\n").unwrap().remove(0);
        assert_eq!(text(node.get("a").unwrap()), None);
        assert_eq!(text(node.get("b").unwrap()), None);
    }
}
