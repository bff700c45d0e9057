//! TOML as the tree that files are checked in.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use ultrai_deploy_yaml::{Broken, Entry, Kind, Node, Position};

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = position(text, error.span().map_or(0, |span| span.start));
        Broken { at, message: format!("this is not TOML: {}", error.message()) }
    })?;
    let at = Position { line: 1, column: 1 };
    Ok(Node { at, tag: None, kind: mapping(text, table.get_ref()) })
}

fn mapping(text: &str, table: &DeTable<'_>) -> Kind {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        at: position(text, key.span().start),
        value: node(text, value),
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.at);
    Kind::Mapping(entries)
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Node {
    let scalar = |text: &str, plain| Kind::Scalar { text: text.to_owned(), plain };
    let kind = match value.get_ref() {
        DeValue::String(own) => scalar(own, false),
        DeValue::Integer(number) => scalar(number.as_str(), true),
        DeValue::Float(number) => scalar(number.as_str(), true),
        DeValue::Boolean(truth) => scalar(if *truth { "true" } else { "false" }, true),
        DeValue::Datetime(time) => scalar(&time.to_string(), true),
        DeValue::Array(items) => Kind::Sequence(items.iter().map(|one| node(text, one)).collect()),
        DeValue::Table(table) => mapping(text, table),
    };
    Node { at: position(text, value.span().start), tag: None, kind }
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position { line, column }
}
