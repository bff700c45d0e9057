//! Railway's schema, and answers made from it.

use std::path::PathBuf;

use apollo_compiler::{
    ExecutableDocument, Schema,
    ast::Type,
    executable::{Field, Operation, Selection, SelectionSet},
    request::coerce_variable_values,
    response::JsonMap,
    schema::ExtendedType,
    validation::Valid,
};
use serde_json::{Map, Value, json};

const VARIABLE: &str = "ULTRAI_CONTRACTS";

/// Whether tests that need the contracts are left out on request, which is said.
pub(crate) fn is_left_out() -> bool {
    let is_left_out = std::env::var_os("ULTRAI_SKIP_CONTRACTS").is_some();
    if is_left_out {
        println!("LEFT OUT: ULTRAI_SKIP_CONTRACTS is set, and this reads the contracts");
    }
    is_left_out
}

/// The schema, from the contracts that are kept apart from this repository.
pub(crate) fn schema() -> Valid<Schema> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts");
    let directory = std::env::var_os(VARIABLE).map_or_else(beside, PathBuf::from);
    let path = directory.join("railway/schema.graphql");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: set {VARIABLE} to the directory of the platforms' contracts, or put it \
             beside the checkout as ../shared/contracts",
            path.display()
        )
    });
    Schema::parse_and_validate(text, path).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// A document, validated.
pub(crate) fn document(
    schema: &Valid<Schema>,
    text: &str,
) -> Result<Valid<ExecutableDocument>, String> {
    ExecutableDocument::parse_and_validate(schema, text, "document.graphql")
        .map_err(|invalid| invalid.to_string())
}

/// The only operation of a document.
pub(crate) fn operation(document: &Valid<ExecutableDocument>) -> &Operation {
    document.operations.get(None).unwrap()
}

/// Checks that variables are what an operation declares.
pub(crate) fn check_variables(
    schema: &Valid<Schema>,
    operation: &Operation,
    variables: &Value,
) -> Result<(), String> {
    let given = variables.as_object().ok_or("the variables are no object")?;
    let declared = |name: &str| operation.variables.iter().any(|one| one.name.as_str() == name);
    if let Some(name) = given.keys().find(|name| !declared(name)) {
        return Err(format!("{name} is not declared"));
    }
    let given: JsonMap = serde_json::from_value(variables.clone()).unwrap();
    match coerce_variable_values(schema, operation, &given) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.message().to_string()),
    }
}

/// How much of what may be null is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Everything,
    OnlyWhatIsRequired,
}

/// An answer to an operation as the schema promises it.
pub(crate) fn answer(schema: &Schema, operation: &Operation, fill: Fill) -> Value {
    json!({ "data": object(schema, &operation.selection_set, fill) })
}

fn object(schema: &Schema, set: &SelectionSet, fill: Fill) -> Value {
    let mut fields = Map::new();
    for selection in &set.selections {
        let Selection::Field(field) = selection else { panic!("a fragment: {selection:?}") };
        fields.insert(field.response_key().to_string(), value(schema, field, field.ty(), fill));
    }
    fields.into()
}

fn value(schema: &Schema, field: &Field, ty: &Type, fill: Fill) -> Value {
    if fill == Fill::OnlyWhatIsRequired && !ty.is_non_null() {
        return Value::Null;
    }
    if ty.is_list() {
        return json!([value(schema, field, ty.item_type(), fill)]);
    }
    let name = ty.inner_named_type();
    match &schema.types[name] {
        ExtendedType::Enum(of) => json!(of.values.keys().next().unwrap().as_str()),
        ExtendedType::Scalar(_) => match (name.as_str(), field.name.as_str()) {
            ("Boolean", "hasNextPage") => json!(false),
            ("Boolean", _) => json!(true),
            ("Int", _) => json!(1),
            ("Float", _) => json!(1.5),
            ("DateTime", _) | (_, "timestamp") => json!("2026-11-21T12:00:00.000Z"),
            ("EnvironmentVariables", _) => json!({ "KEY": "value", "SEALED": null }),
            ("DeploymentMeta", _) => json!({ "image": "repo:1", "unknown": [{}] }),
            ("EnvironmentConfig", _) => json!({ "services": { "s": { "variables": null } } }),
            ("JSON", _) => json!(["sh", "-c", "true"]),
            ("String" | "ID", _) => json!("text"),
            other => panic!("no sample for {other:?}"),
        },
        _ => object(schema, &field.selection_set, fill),
    }
}
