//! Splitting a command line into words, as Compose splits `command` and `entrypoint`.

/// Splits `line` by white space, with quotes and backslashes. What follows an unquoted `;`, `&`,
/// `|`, `<` or `>` is left out: Compose does so, too.
///
/// # Errors
/// A quote that is not closed, or a backslash at the end.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, ';' | '&' | '|' | '<' | '>') => {
                words.extend(word.take());
                return Ok(words);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_compose_splits_them() {
        for (line, expected) in [
            ("echo \"hi there\" && x", vec!["echo", "hi there"]),
            ("a | b; c", vec!["a"]),
            (
                "redis-server --save '' --appendonly yes",
                vec!["redis-server", "--save", "", "--appendonly", "yes"],
            ),
            ("a\\ b 'c\"d' \"e\\\"f\"", vec!["a b", "c\"d", "e\"f"]),
            ("  ", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
        assert!(split("a 'b").is_err());
        assert!(split("a\\").is_err());
    }
}
