//! Reading typed values out of the tree, with the place in every complaint.

use std::{path::PathBuf, sync::Arc, time::Duration};

use indexmap::IndexMap;

use super::{
    problem::Problem,
    scalar, units,
    yaml::{Kind, Node, Position},
};

/// A node with its place in the document.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) file: &'a Arc<PathBuf>,
}

/// One entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) key_at: Position,
    pub(super) value: Field<'a>,
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node, file: &'a Arc<PathBuf>) -> Self {
        Self { node, path: String::new(), file }
    }

    /// A complaint about this place.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: Arc::clone(self.file),
            position: Some(self.node.at),
            path: self.path.clone(),
            message: message.into(),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar { .. })
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.kind, Kind::Mapping(_))
    }

    /// A text. Compose refuses numbers and booleans without quotes where a text must stand.
    pub(super) fn text(&self) -> Result<String> {
        let text = self.scalar()?;
        match &self.node.kind {
            Kind::Scalar { text: written, .. } if !scalar::is_text(self.node) => {
                Err(self
                    .problem(format!("`{written}` without quotes is no text; write \"{written}\"")))
            }
            _ => Ok(text),
        }
    }

    /// A text, or nothing for an empty one: Compose takes that for unset.
    pub(super) fn set_text(&self) -> Result<Option<String>> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    /// A text, number or boolean, as text; null is refused.
    pub(super) fn scalar(&self) -> Result<String> {
        self.optional_scalar()?
            .ok_or_else(|| self.problem("a value is missing; write it, or remove the key"))
    }

    /// A text, number or boolean, as text; nothing for null.
    fn optional_scalar(&self) -> Result<Option<String>> {
        match self.node.kind {
            Kind::Scalar { .. } => Ok(scalar::text(self.node)),
            Kind::Sequence(_) => Err(self.problem("a text must stand here, not a list")),
            Kind::Mapping(_) => Err(self.problem("a text must stand here, not a mapping")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool> {
        // What Compose casts to a boolean after interpolation.
        match self.scalar()?.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Ok(true),
            "false" | "n" | "no" | "off" => Ok(false),
            _ => Err(self.problem("`true` or `false` must stand here")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64> {
        let text = self.scalar()?;
        scalar::integer(&text)
            .and_then(|number| i64::try_from(number).ok())
            .ok_or_else(|| self.problem(format!("`{text}` is no whole number")))
    }

    pub(super) fn number(&self) -> Result<f64> {
        let text = self.scalar()?;
        text.parse().map_err(|_| self.problem(format!("`{text}` is no number")))
    }

    pub(super) fn small<T: TryFrom<i64>>(&self) -> Result<T> {
        let number = self.integer()?;
        T::try_from(number).map_err(|_| self.problem(format!("{number} is out of range")))
    }

    pub(super) fn duration(&self) -> Result<Duration> {
        let text = self.scalar()?;
        units::duration(&text).filter(|_| scalar::is_text(self.node)).ok_or_else(|| {
            self.problem(format!("`{text}` is no duration; write for example 30s or 1m30s"))
        })
    }

    pub(super) fn size(&self) -> Result<i64> {
        let text = self.scalar()?;
        units::size(&text).ok_or_else(|| {
            self.problem(format!("`{text}` is no size; write for example 512m or 1gb"))
        })
    }

    pub(super) fn items(&self) -> Result<Vec<Self>> {
        match &self.node.kind {
            Kind::Sequence(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, node)| Self {
                    node,
                    path: format!("{}[{index}]", self.path),
                    file: self.file,
                })
                .collect()),
            _ => Err(self.problem("a list must stand here; write each item on a line after `- `")),
        }
    }

    pub(super) fn pairs(&self) -> Result<Vec<Pair<'a>>> {
        match &self.node.kind {
            Kind::Mapping(entries) => Ok(entries
                .iter()
                .map(|entry| Pair {
                    key: &entry.key,
                    key_at: entry.at,
                    value: self.child(&entry.key, &entry.value),
                })
                .collect()),
            _ => Err(self.problem("a mapping must stand here; write `key: value` lines")),
        }
    }

    /// As [`Field::pairs`], and none for null, where Compose allows that.
    pub(super) fn pairs_or_null(&self) -> Result<Vec<Pair<'a>>> {
        if self.is_null() { Ok(Vec::new()) } else { self.pairs() }
    }

    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| self.child(key, node))
    }

    fn child<'b>(&self, key: &str, node: &'b Node) -> Field<'b>
    where
        'a: 'b,
    {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Field { node, path, file: self.file }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// A list of texts and numbers, as texts.
    pub(super) fn scalars(&self) -> Result<Vec<String>> {
        self.items()?.iter().map(Self::scalar).collect()
    }

    /// One text or a list of texts.
    pub(super) fn text_or_texts(&self) -> Result<Vec<String>> {
        if self.is_scalar() { Ok(vec![self.text()?]) } else { self.texts() }
    }

    /// A mapping, or a list of `KEY=value`; a key without value has none.
    pub(super) fn assignments(&self) -> Result<IndexMap<String, Option<String>>> {
        let mut assignments = IndexMap::new();
        if self.is_mapping() {
            for pair in self.pairs()? {
                if pair.key.is_empty() {
                    return Err(pair.value.problem("the name is empty"));
                }
                assignments.insert(pair.key.to_owned(), pair.value.optional_scalar()?);
            }
            return Ok(assignments);
        }
        for item in self.items()? {
            let text = item.text()?;
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            if key.is_empty() {
                return Err(item.problem("a name must stand before `=`"));
            }
            assignments.insert(key.to_owned(), value);
        }
        Ok(assignments)
    }

    /// As [`Field::assignments`], with an empty text where there is no value.
    pub(super) fn labels(&self) -> Result<IndexMap<String, String>> {
        let assignments = self.assignments()?;
        Ok(assignments.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    /// A mapping of texts and numbers, for driver options.
    pub(super) fn options<C: FromIterator<(String, String)>>(&self) -> Result<C> {
        let options: Vec<_> = self
            .pairs()?
            .into_iter()
            .map(|pair| {
                let value = pair.value.optional_scalar()?.unwrap_or_default();
                if scalar::is_boolean(pair.value.node) {
                    let message = format!("`{value}` without quotes is no text; write \"{value}\"");
                    return Err(pair.value.problem(message));
                }
                Ok((pair.key.to_owned(), value))
            })
            .collect::<Result<_>>()?;
        Ok(options.into_iter().collect())
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("`{text}` is not known here; write {}", known.join(", ")))
        })
    }
}

impl Pair<'_> {
    pub(super) fn is_extension(&self) -> bool {
        self.key.starts_with("x-")
    }

    fn problem(&self, message: String) -> Problem {
        Problem { position: Some(self.key_at), ..self.value.problem(message) }
    }

    /// The complaint about a key that compose knows and this tool does not carry out.
    pub(super) fn unsupported(&self, advice: &str) -> Problem {
        self.problem(format!("`{}` is not supported yet; {advice}", self.key))
    }

    /// The complaint about a key that nobody knows, with the nearest one that is known.
    pub(super) fn unknown(&self, known: &[&str]) -> Problem {
        let nearest = known
            .iter()
            .map(|word| (distance(self.key, word), *word))
            .min()
            .filter(|(distance, word)| *distance <= 2.max(word.len() / 3));
        match nearest {
            Some((_, word)) => {
                self.problem(format!("`{}` is not known here; did you mean `{word}`?", self.key))
            }
            None => self.problem(format!(
                "`{}` is not known here; remove it, or begin it with `x-` for your own use",
                self.key
            )),
        }
    }
}

/// How many letters have to be changed to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
