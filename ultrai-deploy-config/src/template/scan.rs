//! Where the tags of a template are, and whether all in them is allowed.
//!
//! Without assignments, captures and multiplication nothing in a template can grow by more than
//! its own length with each step, which is what makes counting steps a bound.

use super::{Problem, TemplateError, position};

/// The tags that may stand in a template.
const ALLOWED: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
/// Most words and operators in a tag, and most blocks that are open at once: the parser and the
/// compiler behind it call themselves for each.
const MOST: usize = 64;
const DEEPEST: usize = 32;

/// What is found in tags.
pub(super) struct Scan<'a> {
    /// The words, and where they begin.
    pub(super) names: Words<'a>,
}

/// Words, and where they begin.
type Words<'a> = Vec<(usize, &'a str)>;

/// Looks through all tags.
///
/// # Errors
/// The first tag with something in it that is not allowed.
pub(super) fn scan(text: &str) -> Result<Scan<'_>, TemplateError> {
    let mut scan = Scan { names: Vec::new() };
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(open) = next_tag(text, at) {
        let inner = open + 2;
        let fail = |message: String| {
            let (line, column) = position(text, open);
            Err(TemplateError { line, column, problem: Problem::Syntax(message) })
        };
        let close = match &text[open..inner] {
            "{#" => match text[inner..].find("#}") {
                Some(end) => {
                    at = inner + end + 2;
                    continue;
                }
                None => return fail("the comment `{#` is not closed by `#}`".to_owned()),
            },
            "{{" => "}}",
            _ => "%}",
        };
        let (words, end) = match words(text, inner, close) {
            Ok(found) => found,
            Err(message) => return fail(message),
        };
        at = end + 2;
        if close == "}}" {
            scan.names.extend(words);
            continue;
        }
        match words.first().map(|(_, word)| *word) {
            Some("raw") => match end_of_raw(text, at) {
                Some(end) => at = end,
                None => return fail("`{% raw %}` is not closed by `{% endraw %}`".to_owned()),
            },
            Some(word) if ALLOWED.contains(&word) => {
                match word {
                    "if" | "for" => depth += 1,
                    "endif" | "endfor" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > DEEPEST {
                    return fail(format!("blocks are nested deeper than {DEEPEST} levels"));
                }
                scan.names.extend(words.into_iter().skip(1));
            }
            word => {
                return fail(format!(
                    "`{{% {} %}}` is not understood; there are `if`, `for` and `raw`",
                    word.unwrap_or_default()
                ));
            }
        }
    }
    Ok(scan)
}

/// Where the next tag opens.
fn next_tag(text: &str, from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let open = from + text[from..].find('{')?;
        if text[open + 1..].starts_with(['{', '%', '#']) {
            return Some(open);
        }
        from = open + 1;
    }
}

/// Where what follows `{% endraw %}` begins.
fn end_of_raw(text: &str, from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let open = from + text[from..].find("{%")?;
        let inner = text[open + 2..].trim_start_matches(['-', '+']).trim_start();
        if let Some(after) = inner.strip_prefix("endraw") {
            return Some(text.len() - after.len() + after.find("%}")? + 2);
        }
        from = open + 2;
    }
}

/// The words of a tag with where they begin, and where the tag's end begins.
fn words<'a>(text: &'a str, from: usize, close: &str) -> Result<(Words<'a>, usize), String> {
    let mut words = Vec::new();
    let mut parts = 0;
    let mut at = from;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(close) {
            return Ok((words, at));
        }
        parts += usize::from(!c.is_whitespace());
        if parts > MOST {
            return Err(format!("there are more than {MOST} words and operators in this tag"));
        }
        let rest = &text[at..];
        at += match c {
            '\'' | '"' => quoted(rest, c).ok_or("a quote in this tag is not closed")?,
            '*' | '{' => return Err(format!("`{c}` is not allowed in tags")),
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                if &rest[..length] == "recursive" {
                    return Err("`recursive` is not allowed in tags".to_owned());
                }
                if !text[..at].ends_with('.') {
                    words.push((at, &rest[..length]));
                }
                length
            }
            c => c.len_utf8(),
        };
    }
    Err(format!("this tag is not closed by `{close}`"))
}

/// The length of what is in quotes, they included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return Some(at + 1);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}
