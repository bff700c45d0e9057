//! "Did you mean": the known word that is nearest to a wrong one.

/// The nearest of `known`, when it is near enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .filter_map(|word| {
            let lower = word.to_lowercase();
            let most = (lower.chars().count() / 3).max(1);
            // Somebody who writes `prod` means `production`.
            let begins = wrong.len().min(lower.len()) >= 3
                && (lower.starts_with(&wrong) || wrong.starts_with(&lower));
            let distance = if begins { 1 } else { distance(&wrong, &lower) };
            // Of a word of one letter nothing would be left.
            (distance <= most && distance < lower.chars().count()).then_some((distance, word))
        })
        .min()
        .map(|(_, word)| word)
}

/// A list for people: `a, b or c`.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Edits between two words, where swapping two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut above_that = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut edits = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(above_that[j - 1] + 1);
            }
            row[j + 1] = edits;
        }
        above_that = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["timeout", "retries", "path", "production", "url"];
        assert_eq!(nearest("ARGUMENT", ["A"]), None);
        assert_eq!(nearest("X", ["A"]), None);
        for (wrong, meant) in [
            ("timout", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("Path", Some("path")),
            ("prod", Some("production")),
            ("uri", Some("url")),
            ("colour", None),
            ("urls-of-all", Some("url")),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
    }

    #[test]
    fn lists_read_well() {
        assert_eq!(one_of(["a"]), "a");
        assert_eq!(one_of(["a", "b", "c"]), "a, b or c");
    }
}
