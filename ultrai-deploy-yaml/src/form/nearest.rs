//! The word that was probably meant.

/// The nearest of `words`, if one is near enough to be meant.
pub(super) fn of<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let squeezed = |word: &str| {
        let letters = word.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<Vec<_>>()
    };
    let text = squeezed(text);
    let distances = words.iter().map(|word| (distance(&text, &squeezed(word)), *word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= text.len() / 3).then_some(word)
}

/// How many letters have to be put in, left out or changed.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (index, letter) in one.iter().enumerate() {
        let mut corner = index;
        let mut left = index + 1;
        for (above, own) in row.iter_mut().skip(1).zip(other) {
            let changed = corner + usize::from(letter != own);
            corner = *above;
            left = changed.min(corner + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant() {
        let words = ["healthCheckPath", "name", "plan", "preDeployCommand"];
        for (text, meant) in [
            ("healthcheckPath", Some("healthCheckPath")),
            ("health_check_path", Some("healthCheckPath")),
            ("helthChekPath", Some("healthCheckPath")),
            ("nmae", None),
            ("nam", Some("name")),
            ("predeploycomand", Some("preDeployCommand")),
            ("replicas", None),
            ("", None),
        ] {
            assert_eq!(of(text, &words), meant, "{text}");
        }
    }
}
