//! Recorded exchanges with Render.

use std::fs;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use crate::contract;

/// A request, and what Render answered.
pub(crate) struct Exchange {
    /// The file, and the number in it.
    pub(crate) place: String,
    pub(crate) method: String,
    /// Path below the base, and query.
    pub(crate) path: String,
    pub(crate) sent: String,
    pub(crate) status: u16,
    pub(crate) answered: String,
}

/// All exchanges, in the order of their files' names.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let directory = contract::directory().join("recorded");
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files =
        entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect::<Vec<_>>();
    files.sort();
    assert!(!files.is_empty(), "{} holds no recordings", directory.display());
    files
        .iter()
        .flat_map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let tape = yaml(&fs::read_to_string(file).unwrap());
            let interactions = tape["interactions"].as_array().unwrap().clone();
            interactions.into_iter().map(move |it| exchange(&name, &it))
        })
        .collect()
}

fn exchange(file: &str, interaction: &Value) -> Exchange {
    let text = |pointer: &str| interaction.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let url = text("/request/url");
    let (_, path) = url.split_once("/v1").unwrap();
    Exchange {
        place: format!("{file} #{}", text("/id")),
        method: text("/request/method").to_lowercase(),
        path: path.to_owned(),
        sent: text("/request/body"),
        status: text("/response/code").parse().unwrap(),
        answered: text("/response/body"),
    }
}

/// The document of a YAML text; every scalar is a string.
fn yaml(text: &str) -> Value {
    let mut events = Parser::new_from_str(text);
    let mut next = || events.next_event().unwrap().unwrap().0;
    loop {
        match next() {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            first => return node(first, &mut next),
        }
    }
}

fn node<'a>(event: Event<'a>, next: &mut impl FnMut() -> Event<'a>) -> Value {
    match event {
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next() {
                    Event::SequenceEnd => return Value::Array(items),
                    item => items.push(node(item, next)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Map::new();
            loop {
                match next() {
                    Event::MappingEnd => return Value::Object(entries),
                    Event::Scalar(key, ..) => {
                        let value = next();
                        entries.insert(key.into_owned(), node(value, next));
                    }
                    key => panic!("{key:?} is no key of a recording"),
                }
            }
        }
        other => panic!("{other:?} is not understood in a recording"),
    }
}
