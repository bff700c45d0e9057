//! Splitting a command line into words, as Compose splits `command` and `entrypoint`.

/// Splits `line` by white space, with quotes and backslashes; back quotes and `$( )` hold
/// together what is between them. What follows an unquoted `;`, `&`, `|`, `<` or `>` is left out:
/// Compose does so, too (mattn/go-shellwords).
///
/// # Errors
/// A quote or parenthesis that is not closed, or a backslash at the end.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut within: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (within, c) {
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(match next {
                    't' => '\t',
                    'n' => '\n',
                    other => other,
                });
            }
            (Some(close @ ('"' | '\'')), c) if c == close => within = None,
            (None, '"' | '\'') => {
                within = Some(c);
                word.get_or_insert_default();
            }
            (Some('`' | ')'), '\\') => {
                let next = chars.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().extend(['\\', next]);
            }
            (Some(close), c) if c == close => {
                within = None;
                word.get_or_insert_default().push(c);
            }
            (None, '`') => {
                within = Some('`');
                word.get_or_insert_default().push(c);
            }
            (None, '(') if word.as_ref().is_some_and(|word| word.ends_with('$')) => {
                within = Some(')');
                word.get_or_insert_default().push(c);
            }
            (None | Some(')'), '(') | (None, ')') => {
                return Err("a parenthesis stands without quotes");
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, ';' | '&' | '|' | '<' | '>') => {
                // A digit before `>` names a stream: `2>log`.
                let stream =
                    |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
                words.extend(word.take().filter(|word| c != '>' || !stream(word)));
                return Ok(words);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if within.is_some() {
        return Err("a quote or parenthesis is not closed");
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
            ("a $(b c) d", vec!["a", "$(b c)", "d"]),
            ("a `b c` d", vec!["a", "`b c`", "d"]),
            ("a\\tb", vec!["a\tb"]),
            ("a 2>b c", vec!["a"]),
            ("a b>c", vec!["a", "b"]),
            ("  ", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
        for line in ["a 'b", "a\\", "a (b)", "a)", "$(a", "`a"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
