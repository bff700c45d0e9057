//! We and the published schema refuse the same; where not, it is listed, with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use serde_json::{Map, Value, json};
use ultrai_deploy_render::blueprint::Blueprint;
use ultrai_deploy_yaml::{Kind, Node, Scalar, parse};

use crate::FULL;

/// What to write of a value in the document, at every place, to see what becomes of it.
fn changes() -> [(&'static str, Value); 9] {
    [
        ("a text", json!("surprise")),
        ("an empty text", json!("")),
        ("zero", json!(0)),
        ("a fraction", json!(1.5)),
        ("a large number", json!(100_000)),
        ("a truth value", json!(true)),
        ("nothing", json!(null)),
        ("an empty list", json!([])),
        ("an empty object", json!({})),
    ]
}

fn schema() -> Option<jsonschema::Validator> {
    Some(jsonschema::validator_for(&published()?).unwrap())
}

fn published() -> Option<Value> {
    if env::var_os("ULTRAI_SKIP_CONTRACTS").is_some() {
        println!("LEFT OUT: ULTRAI_SKIP_CONTRACTS is set, and this reads the contracts");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts");
    let contracts = env::var_os("ULTRAI_CONTRACTS").map_or(root, Into::into);
    let path = contracts.join("config-schemas/render.yaml.schema.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; set ULTRAI_CONTRACTS to the directory of contracts", path.display())
    });
    Some(serde_json::from_str(&text).unwrap())
}

fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Sequence(items) => items.iter().map(json_of).collect(),
        Kind::Mapping(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Kind::Scalar { .. } => match node.scalar().unwrap() {
            Scalar::Null => Value::Null,
            Scalar::Truth(truth) => json!(truth),
            Scalar::Number(number) => json!(number),
            Scalar::Text(text) => json!(text),
        },
    }
}

fn full() -> Value {
    json_of(&parse(FULL).unwrap()[0])
}

/// Every place of a document, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), all);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                places(value, &format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
}

/// Documents that differ from the full one in one thing each.
fn mutated() -> Vec<(String, Value)> {
    let full = full();
    let mut all = Vec::new();
    places(&full, "", &mut all);
    let mut documents = Vec::new();
    for at in &all {
        for (what, value) in changes() {
            let mut document = full.clone();
            *document.pointer_mut(at).unwrap() = value;
            documents.push((format!("{at} is {what}"), document));
        }
        let mut document = full.clone();
        if let Some(object) = document.pointer_mut(at).unwrap().as_object_mut() {
            object.insert("surprise".to_owned(), json!("x"));
            documents.push((format!("{at} has a key more"), document));
        }
        let Some((parent, key)) = at.rsplit_once('/') else { continue };
        let mut document = full.clone();
        if let Some(object) = document.pointer_mut(parent).unwrap().as_object_mut() {
            object.remove(key);
            documents.push((format!("{at} is left out"), document));
        }
    }
    documents
}

/// What the schema gives properties, and does not say that it is an object: any text is one to it.
const NO_OBJECT: &str = "the schema does not say that it is an object";

/// Why we refuse what the schema takes.
fn reason(change: &str) -> Option<&'static str> {
    let places = ["/envVarGroups/0 is ", "/registryCredential is ", "/creds is "];
    places.iter().any(|place| change.contains(place)).then_some(NO_OBJECT)
}

#[test]
fn we_and_the_schema_refuse_the_same() {
    let Some(schema) = schema() else { return };
    assert!(schema.is_valid(&full()), "{:#?}", schema.iter_errors(&full()).collect::<Vec<_>>());
    let (mut valid, mut refused) = (0, 0);
    let mut different = BTreeMap::<_, Vec<_>>::new();
    for (change, document) in mutated() {
        // JSON is YAML.
        let ours = Blueprint::read("render.yaml", &document.to_string());
        match (schema.is_valid(&document), &ours) {
            (true, Ok(_)) => valid += 1,
            (false, Err(_)) => refused += 1,
            (theirs, _) => {
                let why = reason(&change).unwrap_or("NOT EXPLAINED");
                let problems = ours.map(drop).map_err(|problems| problems.to_string());
                different.entry(why).or_default().push((change, theirs, problems));
            }
        }
    }
    println!("{valid} changed documents are taken and {refused} refused by both");
    for (why, cases) in &different {
        println!("{} differ: {why}", cases.len());
    }
    assert!(valid > 100 && refused > 1000, "{valid} {refused}");
    assert_eq!(different.get("NOT EXPLAINED"), None);
    let stricter = different.values().flatten().all(|(_, theirs, ours)| *theirs && ours.is_err());
    assert!(stricter, "{different:#?}");
    assert_eq!(different.into_keys().collect::<Vec<_>>(), [NO_OBJECT]);
}

/// The one thing that Render's schema refuses and we take.
#[test]
fn env_is_taken_for_runtime() {
    let Some(schema) = schema() else { return };
    let text = "services: [{type: worker, name: a, env: go}]";
    assert!(!schema.is_valid(&json_of(&parse(text).unwrap()[0])));
    assert_eq!(Blueprint::read("render.yaml", text).unwrap().warnings.len(), 1);
}

/// What is changed above is all that there is: the full document has every key that is in use.
#[test]
fn the_full_document_is_full() {
    let Some(schema) = published() else { return };
    let full = full();
    let inner =
        [&full["ungrouped"]["services"], &full["projects"][0]["environments"][0]["services"]];
    let services = [&full["services"]].into_iter().chain(inner);
    let services: Vec<_> = services.filter_map(Value::as_array).flatten().collect();
    let of = |is: &dyn Fn(&Value) -> bool| -> BTreeSet<&str> {
        let found = services.iter().filter(|service| is(service));
        found
            .filter_map(|service| service.as_object())
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect()
    };
    let is_static = |service: &Value| service["runtime"] == "static";
    let database = full["databases"][0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut checked = 0;
    for (name, keys) in [
        ("cronService", of(&|service| service["type"] == "cron")),
        ("redisServer", of(&|service| service["type"] == "keyvalue")),
        ("staticService", of(&is_static)),
        (
            "serverService",
            of(&|service| {
                !is_static(service)
                    && ["web", "worker", "pserv"].iter().any(|kind| service["type"] == *kind)
            }),
        ),
        ("database", database),
    ] {
        let properties = schema["definitions"][name]["properties"].as_object().unwrap();
        let in_use = properties.iter().filter(|(_, property)| property["deprecated"] != true);
        let in_use: BTreeSet<_> = in_use.map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, in_use, "{name}");
        checked += in_use.len();
    }
    println!("the full document has all {checked} keys of services and databases");
}
