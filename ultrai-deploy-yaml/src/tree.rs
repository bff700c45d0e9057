//! YAML as an untyped tree in which every node knows where it was written.
//!
//! Built from the event stream of the `saphyr` parser rather than from a ready-made tree: the
//! text of a scalar stays as it was written, tags are seen, and the expansion of aliases is
//! bounded while it happens, so that no file of some hundred bytes can keep an embedding program
//! busy.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::{Deserialize, Serialize};

/// Most nodes that a document may have after its aliases were expanded. Large real files have
/// some thousand.
const MOST_NODES: usize = 100_000;
/// Most bytes of text that a document may have after its aliases were expanded: nodes alone do
/// not bound the memory when a long text is repeated.
const MOST_BYTES: usize = 16 << 20;
/// Deepest nesting.
const DEEPEST: usize = 100;

/// A line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// Its tag, as written: `!reset`; those of YAML's core schema as `!!str`.
    pub tag: Option<String>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "YAML has no others")]
pub enum Kind {
    /// A text, a number, a truth value or nothing.
    Scalar {
        /// As it was written.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in their order.
    Mapping(Vec<Entry>),
}

/// What a scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "YAML has no others")]
pub enum Scalar<'a> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Truth(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub at: Position,
    /// The value.
    pub value: Node,
}

/// Why a text is no usable YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub message: String,
}

impl Node {
    /// Whether it is a plain scalar that means null.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What a scalar means to YAML 1.2, and to readers that know the numbers of 1.1 as well; nothing
    /// for what is no scalar.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        let Kind::Scalar { text, plain } = &self.kind else { return None };
        if !plain || self.tag.as_deref() == Some("!!str") {
            return Some(Scalar::Text(text));
        }
        Some(match text.as_str() {
            _ if self.is_null() => Scalar::Null,
            "true" | "True" | "TRUE" => Scalar::Truth(true),
            "false" | "False" | "FALSE" => Scalar::Truth(false),
            _ => number(text).map_or(Scalar::Text(text), Scalar::Number),
        })
    }

    /// The value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Mapping(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }
}

/// All documents of a text, with aliases expanded and `<<` merged.
///
/// # Errors
/// For what is no YAML, holds a key twice, or is larger than any real file once its aliases are
/// expanded.
pub fn parse(text: &str) -> Result<Vec<Node>, Broken> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text).keep_tags(false);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Broken {
            at: Position { line: error.marker().line(), column: error.marker().col() + 1 },
            message: format!("this is not YAML: {}", error.info()),
        })?;
        let at = Position { line: span.start.line(), column: span.start.col() + 1 };
        if !builder.take(event, at)? {
            break;
        }
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    total: Size,
}

struct Open {
    node: Node,
    key: Option<(String, Position)>,
    keys: HashSet<String>,
    anchor: usize,
    size: Size,
}

/// How much a node holds, itself included.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn one(text: &str) -> Self {
        Self { nodes: 1, bytes: text.len() }
    }

    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

impl Builder {
    /// Takes an event in; false at the end of the stream.
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<bool, Broken> {
        match event {
            Event::StreamEnd => return Ok(false),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {
                if matches!(event, Event::DocumentStart(_)) {
                    self.anchors.clear();
                }
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
                    let message = "this alias is part of its own anchor".to_owned();
                    return Err(Broken { at, message });
                };
                // Counted before it is copied.
                self.count(size, at)?;
                let Some((node, _)) = self.anchors.get(&anchor).cloned() else { return Ok(true) };
                // The position stays that of the anchor: that is where the text to change is.
                self.close(node, size, at)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size::one(&text);
                self.count(size, at)?;
                let plain = style == ScalarStyle::Plain;
                let kind = Kind::Scalar { text: text.into_owned(), plain };
                let node = Node { at, tag: tag.map(|tag| name(&tag)), kind };
                if anchor > 0 {
                    self.count(size, at)?;
                    self.anchors.insert(anchor, (node.clone(), size));
                }
                self.close(node, size, at)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let tag = tag.map(|tag| name(&tag));
                self.open(Node { at, tag, kind: Kind::Sequence(Vec::new()) }, anchor)?;
            }
            Event::MappingStart(anchor, tag) => {
                let tag = tag.map(|tag| name(&tag));
                self.open(Node { at, tag, kind: Kind::Mapping(Vec::new()) }, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, keys, anchor, size, .. }) = self.open.pop() {
                    merge(&mut node, keys)?;
                    if anchor > 0 {
                        self.count(size, at)?;
                        self.anchors.insert(anchor, (node.clone(), size));
                    }
                    self.close(node, size, at)?;
                }
            }
        }
        Ok(true)
    }

    fn open(&mut self, node: Node, anchor: usize) -> Result<(), Broken> {
        let size = Size::one("");
        self.count(size, node.at)?;
        if self.open.len() >= DEEPEST {
            let message = format!("nested deeper than {DEEPEST} levels");
            return Err(Broken { at: node.at, message });
        }
        self.open.push(Open { node, key: None, keys: HashSet::new(), anchor, size });
        Ok(())
    }

    /// Counts what is about to be kept; a node with an anchor counts twice, it is kept twice.
    fn count(&mut self, size: Size, at: Position) -> Result<(), Broken> {
        self.total.add(size);
        if self.total.nodes > MOST_NODES || self.total.bytes > MOST_BYTES {
            let message = format!(
                "more than {MOST_NODES} nodes or {} MiB of text once its aliases are expanded; \
                 use fewer",
                MOST_BYTES >> 20
            );
            return Err(Broken { at, message });
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, size: Size, at: Position) -> Result<(), Broken> {
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        parent.size.add(size);
        match (&mut parent.node.kind, parent.key.take()) {
            (Kind::Sequence(items), _) => items.push(node),
            (Kind::Mapping(entries), Some((key, key_at))) => {
                if key != "<<"
                    && !parent.keys.insert(key.clone())
                    && let Some(first) = entries.iter().find(|entry| entry.key == key)
                {
                    let message = format!(
                        "the key `{key}` was there before, in line {}; remove one of them",
                        first.at.line
                    );
                    return Err(Broken { at: key_at, message });
                }
                entries.push(Entry { key, at: key_at, value: node });
            }
            (Kind::Mapping(_), None) => {
                let Kind::Scalar { text, .. } = node.kind else {
                    let message = "a key must be a plain text".to_owned();
                    return Err(Broken { at, message });
                };
                parent.key = Some((text, at));
            }
            (Kind::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

/// Replaces `<<` by what it refers to; own keys win, then earlier sources.
fn merge(node: &mut Node, mut keys: HashSet<String>) -> Result<(), Broken> {
    let Kind::Mapping(entries) = &mut node.kind else { return Ok(()) };
    if !entries.iter().any(|entry| entry.key == "<<") {
        return Ok(());
    }
    let (merges, mut own): (Vec<_>, Vec<_>) =
        std::mem::take(entries).into_iter().partition(|entry| entry.key == "<<");
    for entry in merges {
        let sources = match entry.value.kind {
            Kind::Sequence(items) => items,
            _ => vec![entry.value],
        };
        for source in sources {
            let Kind::Mapping(inherited) = source.kind else {
                let message = "`<<` takes a mapping or a list of mappings".to_owned();
                return Err(Broken { at: entry.at, message });
            };
            for inherited in inherited {
                if keys.insert(inherited.key.clone()) {
                    own.push(inherited);
                }
            }
        }
    }
    *entries = own;
    Ok(())
}

fn number(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = match body.get(..2) {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        _ => None,
    };
    if let Some(radix) = radix {
        return i32::from_str_radix(&body[2..], radix).ok().map(f64::from);
    }
    let begins = body.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let is_plain =
        body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if begins && is_plain { text.parse().ok() } else { None }
}

/// A tag as it was written; those of YAML's core schema are of no interest.
fn name(tag: &saphyr_parser::Tag) -> String {
    if tag.is_yaml_core_schema() {
        format!("!!{}", tag.suffix)
    } else {
        format!("{}{}", tag.handle, tag.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let mut documents = parse(text).unwrap();
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn text(node: Option<&Node>) -> &str {
        match &node.unwrap().kind {
            Kind::Scalar { text, .. } => text,
            _ => panic!("no scalar"),
        }
    }

    #[test]
    fn positions_and_texts_are_as_written() {
        let node = one("a: 0400\nb:\n  - \"0400\"\n");
        assert_eq!(text(node.get("a")), "0400");
        assert_eq!(node.get("a").unwrap().at, Position { line: 1, column: 4 });
        let Kind::Sequence(items) = &node.get("b").unwrap().kind else { panic!() };
        assert_eq!(items[0].at, Position { line: 3, column: 5 });
        assert!(matches!(items[0].kind, Kind::Scalar { plain: false, .. }));
    }

    #[test]
    fn scalars_mean_what_yaml_says() {
        for (written, meant) in [
            ("8080", Scalar::Number(8080.0)),
            ("-1.5", Scalar::Number(-1.5)),
            (".5", Scalar::Number(0.5)),
            ("1e3", Scalar::Number(1000.0)),
            ("0x1F", Scalar::Number(31.0)),
            ("0o17", Scalar::Number(15.0)),
            ("1.2.3", Scalar::Text("1.2.3")),
            ("1-2", Scalar::Text("1-2")),
            ("2001-01-01", Scalar::Text("2001-01-01")),
            ("e3", Scalar::Text("e3")),
            ("\"1\"", Scalar::Text("1")),
            ("!!str 1", Scalar::Text("1")),
            ("yes", Scalar::Text("yes")),
            ("True", Scalar::Truth(true)),
            ("~", Scalar::Null),
        ] {
            let node = one(&format!("a: {written}\n"));
            assert_eq!(node.get("a").unwrap().scalar(), Some(meant), "{written}");
        }
    }

    #[test]
    fn own_keys_win_over_merged_ones_and_earlier_sources_over_later() {
        let node =
            one("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  a: 0\n  <<: [*x, *y]\n  d: 4\n");
        let z = node.get("z").unwrap();
        for (key, value) in [("a", "0"), ("b", "1"), ("c", "2"), ("d", "4")] {
            assert_eq!(text(z.get(key)), value, "{key}");
        }
    }

    #[test]
    fn hostile_documents_end_quickly() {
        let mut bomb = vec!["a0: &a0 [x,x,x,x,x,x,x,x,x,x]".to_owned()];
        for level in 1..9 {
            let items = vec![format!("*a{}", level - 1); 10].join(",");
            bomb.push(format!("a{level}: &a{level} [{items}]"));
        }
        let bomb = bomb.join("\n");
        assert!(parse(&bomb).unwrap_err().message.contains("aliases"));
        let long = "x".repeat(1 << 20);
        let repeated = format!("a: &a {long}\nb: [{}]", vec!["*a"; 100].join(","));
        assert!(parse(&repeated).unwrap_err().message.contains("MiB"));
        let keys: Vec<_> = (0..49_000).map(|key| format!("k{key}: 1")).collect();
        assert!(parse(&keys.join("\n")).is_ok());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert!(parse("a: &a [*a]").is_err());
        assert!(parse("a: 1\na: 2").unwrap_err().message.contains("line 1"));
        assert!(parse("? [a]\n: b").is_err());
        assert!(parse("<<: 1\n").is_err());
    }
}
