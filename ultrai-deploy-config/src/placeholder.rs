//! Placeholders for secret values: a loaded project names secrets and never holds their values.
//!
//! A placeholder is the secret's name between two characters of Unicode's private use area, which
//! no compose file needs; one that has them is refused by the loader.

use std::collections::BTreeSet;

/// Begins a placeholder.
pub const OPEN: char = '\u{E000}';
/// Ends a placeholder.
pub const CLOSE: char = '\u{E001}';

/// The placeholder for the value of `name`.
pub fn placeholder(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The names of all placeholders in `text`.
pub fn names_in(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(OPEN) {
        let Some((name, after)) = after.split_once(CLOSE) else { break };
        names.insert(name);
        rest = after;
    }
    names
}

/// `text` with every placeholder replaced by the value that `value` gives for its name.
///
/// # Errors
/// The first name without a value.
pub fn substitute(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let Some((name, after)) = after.split_once(CLOSE) else {
            out.push(OPEN);
            rest = after;
            continue;
        };
        out.push_str(&value(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_the_names_were() {
        let text = format!("redis://:{}@db/{}", placeholder("PASSWORD"), placeholder("N"));
        assert_eq!(names_in(&text), BTreeSet::from(["N", "PASSWORD"]));
        let value = |name: &str| Some(format!("<{name}>"));
        assert_eq!(substitute(&text, value).unwrap(), "redis://:<PASSWORD>@db/<N>");
        assert_eq!(substitute(&text, |_| None).unwrap_err(), "PASSWORD");
    }
}
