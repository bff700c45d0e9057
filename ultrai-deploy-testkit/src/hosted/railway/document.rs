//! As much of GraphQL as tells what is asked for: the fields at the root, with their arguments.

use std::{iter::Peekable, str::Chars};

use serde_json::{Map, Value};

/// A field at the root of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Field {
    /// Under which name it is answered.
    pub(super) key: String,
    /// Its own name.
    pub(super) name: String,
    /// Its arguments, with the values of variables in their places.
    pub(super) arguments: Map<String, Value>,
}

impl Field {
    /// A text among the arguments, or among the fields of `input`.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let input = self.arguments.get("input").and_then(|input| input.get(name));
        self.arguments.get(name).or(input)?.as_str()
    }

    /// What `input` has of this name.
    pub(super) fn input(&self, name: &str) -> &Value {
        self.arguments.get("input").and_then(|input| input.get(name)).unwrap_or(&Value::Null)
    }
}

/// The fields at the root of `text`.
pub(super) fn fields(text: &str, variables: &Value) -> Vec<Field> {
    let mut words = words(text).into_iter().peekable();
    // The name of the operation, and its variables.
    skip_to(&mut words, "{");
    let mut fields = Vec::new();
    while let Some(word) = words.next().filter(|word| word != "}") {
        let mut field = Field { key: word.clone(), name: word, ..Field::default() };
        if words.next_if(|word| word == ":").is_some() {
            field.name = words.next().unwrap_or_default();
        }
        if words.next_if(|word| word == "(").is_some() {
            while let Some(name) = words.next().filter(|word| word != ")") {
                words.next_if(|word| word == ":");
                let word = words.next().unwrap_or_default();
                field.arguments.insert(name, value(&word, variables));
            }
        }
        if words.next_if(|word| word == "{").is_some() {
            skip_block(&mut words);
        }
        fields.push(field);
    }
    fields
}

fn value(word: &str, variables: &Value) -> Value {
    match word.strip_prefix('$') {
        Some(name) => variables.get(name).cloned().unwrap_or_default(),
        None => serde_json::from_str(word).unwrap_or_else(|_| word.into()),
    }
}

fn skip_to(words: &mut impl Iterator<Item = String>, end: &str) {
    for word in words {
        if word == end {
            return;
        }
    }
}

fn skip_block(words: &mut impl Iterator<Item = String>) {
    let mut open = 1;
    for word in words {
        match word.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let mut chars = text.chars().peekable();
    let mut words = Vec::new();
    while let Some(first) = chars.next() {
        match first {
            '{' | '}' | '(' | ')' | ':' => words.push(first.to_string()),
            '"' => words.push(quoted(&mut chars)),
            _ if first == ',' || first.is_whitespace() => {}
            _ => {
                let mut word = first.to_string();
                while let Some(next) =
                    chars.next_if(|next| !"{}():,\"".contains(*next) && !next.is_whitespace())
                {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    words
}

fn quoted(chars: &mut Peekable<Chars<'_>>) -> String {
    let text: String = chars.by_ref().take_while(|next| *next != '"').collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_with_their_arguments() {
        let text = r#"query Any($id: String!, $first: Int = 3) {
            one: deployment(id: $id) { id instances { id } }
            variables(projectId: "p", unrendered: true, input: $missing)
            me
        }"#;
        let found = fields(text, &json!({ "id": "d-1" }));
        let shown: Vec<_> = found.iter().map(|field| (&*field.key, &*field.name)).collect();
        assert_eq!(shown, [("one", "deployment"), ("variables", "variables"), ("me", "me")]);
        assert_eq!(found[0].text("id"), Some("d-1"));
        let arguments = json!({ "projectId": "p", "unrendered": true, "input": null });
        assert_eq!(Value::from(found[1].arguments.clone()), arguments);
        assert_eq!(fields("", &Value::Null), []);
    }
}
