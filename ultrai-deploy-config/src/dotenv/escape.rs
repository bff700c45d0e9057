//! What backslashes mean in quoted values, and the writing of values.

/// How `value` is written in a dotenv file: read back, by [`super::parse`] and by Compose, it is
/// what it was. Values that need no quotes have none; all others take one line.
///
/// No dotenv file can hold a NUL or the characters U+E000 and U+E001; a value with one of them is
/// refused when it is read back.
pub fn quote(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut out = String::with_capacity(value.len() + 8);
    out.push('"');
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '"' | '\\' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Resolves what a backslash can do in single quotes: stand before one.
pub(super) fn unescape_single(text: &str) -> String {
    text.replace("\\'", "'")
}

/// Resolves the escapes of a double-quoted value; `\$` becomes `$$`, which stays a dollar when
/// variables are filled in.
///
/// # Errors
/// What is wrong, to be read behind "the value of NAME".
pub(super) fn unescape_double(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{C}'),
            Some('v') => out.push('\u{B}'),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let code = chars.as_str().get(..3).and_then(octal).ok_or(
                    "has `\\0` without three octal digits up to 377 behind it; write `\\\\0` for a \
                     backslash and a zero",
                )?;
                if code == '\0' {
                    return Err("has a NUL (`\\0000`), which no variable can hold; remove it");
                }
                out.push(code);
                chars = chars.as_str()[3..].chars();
            }
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// The character that three octal digits name.
fn octal(digits: &str) -> Option<char> {
    if !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return None;
    }
    u8::from_str_radix(digits, 8).ok().map(char::from)
}
