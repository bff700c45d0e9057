//! What Render publishes of its API, and where it is found.
//!
//! The description and the recordings are not part of this repository: they are the work of Render
//! and others, and large.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use ultrai_deploy_testkit::server::Request;
use url::form_urlencoded;

use crate::{rig::BASE, schema::Schemas};

/// The operations that the client makes: method, and path as the description writes it.
pub(crate) const OPERATIONS: [(&str, &str); 35] = [
    ("get", "/owners"),
    ("get", "/services"),
    ("get", "/services/{serviceId}"),
    ("patch", "/services/{serviceId}"),
    ("post", "/services/{serviceId}/suspend"),
    ("post", "/services/{serviceId}/resume"),
    ("post", "/services/{serviceId}/restart"),
    ("post", "/services/{serviceId}/scale"),
    ("get", "/services/{serviceId}/instances"),
    ("get", "/services/{serviceId}/events"),
    ("post", "/services/{serviceId}/deploys"),
    ("get", "/services/{serviceId}/deploys"),
    ("get", "/services/{serviceId}/deploys/{deployId}"),
    ("post", "/services/{serviceId}/deploys/{deployId}/cancel"),
    ("post", "/services/{serviceId}/rollback"),
    ("get", "/services/{serviceId}/env-vars"),
    ("put", "/services/{serviceId}/env-vars"),
    ("put", "/services/{serviceId}/env-vars/{envVarKey}"),
    ("delete", "/services/{serviceId}/env-vars/{envVarKey}"),
    ("get", "/services/{serviceId}/secret-files"),
    ("put", "/services/{serviceId}/secret-files/{secretFileName}"),
    ("delete", "/services/{serviceId}/secret-files/{secretFileName}"),
    ("post", "/services/{serviceId}/jobs"),
    ("get", "/services/{serviceId}/jobs"),
    ("get", "/services/{serviceId}/jobs/{jobId}"),
    ("post", "/services/{serviceId}/jobs/{jobId}/cancel"),
    ("get", "/logs"),
    ("get", "/metrics/http-requests"),
    ("get", "/metrics/http-latency"),
    ("get", "/postgres"),
    ("get", "/postgres/{postgresId}"),
    ("get", "/postgres/{postgresId}/export"),
    ("post", "/postgres/{postgresId}/export"),
    ("get", "/postgres/{postgresId}/recovery"),
    ("post", "/postgres/{postgresId}/recovery"),
];

/// Whether tests that need the contracts are left out on request, which is said.
pub(crate) fn is_left_out() -> bool {
    let is_left_out = env::var_os("ULTRAI_SKIP_CONTRACTS").is_some();
    if is_left_out {
        println!("LEFT OUT: ULTRAI_SKIP_CONTRACTS is set, and this reads the contracts");
    }
    is_left_out
}

/// The directory with Render's description and recordings.
///
/// # Panics
/// When there is none, with advice.
pub(crate) fn directory() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts");
    let contracts = env::var_os("ULTRAI_CONTRACTS").map_or(root, PathBuf::from);
    let directory = contracts.join("render");
    assert!(
        directory.join("render-openapi.json").is_file(),
        "{} holds no render-openapi.json: set ULTRAI_CONTRACTS to the directory of contracts, or \
         put it at ../shared/contracts beside the repository",
        directory.display()
    );
    directory
}

/// Render's description of its API.
pub(crate) struct Contract {
    schemas: Schemas,
}

/// What a request turned out to be.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) template: String,
    parameters: BTreeMap<String, String>,
}

impl Contract {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(directory().join("render-openapi.json")).unwrap();
        Self { schemas: Schemas::new(serde_json::from_str(&text).unwrap()) }
    }

    /// The operation with this path: of several that fit, the one with the fewest parameters.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let method = method.to_lowercase();
        let paths = self.schemas.document()["paths"].as_object().unwrap();
        let fits = paths.iter().filter(|(_, item)| item.get(&method).is_some());
        let fits = fits.filter_map(|(template, _)| Some((template, parameters(template, path)?)));
        let (template, parameters) = fits.min_by_key(|(_, parameters)| parameters.len())?;
        Some(Operation { method, template: template.clone(), parameters })
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The schema of an answer.
    pub(crate) fn answer(&self, method: &str, template: &str, status: u16) -> &Value {
        let responses = &self.schemas.document()["paths"][template][method]["responses"];
        let response = self.schemas.resolve(&responses[status.to_string()]);
        &response["content"]["application/json"]["schema"]
    }

    /// Whether an answer with this status is described.
    pub(crate) fn answers(&self, operation: &Operation, status: u16) -> bool {
        self.definition(operation)["responses"].get(status.to_string()).is_some()
    }

    /// What is wrong with a request.
    pub(crate) fn problems(&self, request: &Request) -> Vec<String> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(operation) =
            path.strip_prefix(BASE).and_then(|path| self.operation(&request.method, path))
        else {
            return vec![format!("{} {path} is no operation", request.method)];
        };
        let mut problems = self.parameter_problems(&operation, query);
        problems.extend(self.body_problems(&operation, request));
        let place = format!("{} {}", operation.method, operation.template);
        problems.into_iter().map(|problem| format!("{place}: {problem}")).collect()
    }

    fn definition(&self, operation: &Operation) -> &Value {
        &self.schemas.document()["paths"][&operation.template][&operation.method]
    }

    fn parameter_problems(&self, operation: &Operation, query: &str) -> Vec<String> {
        let mut given = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            given.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let mut problems = Vec::new();
        let item = &self.schemas.document()["paths"][&operation.template];
        let lists = [&item["parameters"], &self.definition(operation)["parameters"]];
        for parameter in lists.into_iter().filter_map(Value::as_array).flatten() {
            let parameter = self.schemas.resolve(parameter);
            let name = parameter["name"].as_str().unwrap();
            let schema = self.schemas.resolve(&parameter["schema"]);
            let values = match parameter["in"].as_str() {
                Some("path") => operation.parameters.get(name).map(|value| vec![value.clone()]),
                Some("query") => given.remove(name),
                place => panic!("a parameter in {place:?} is not understood"),
            };
            let Some(mut values) = values else {
                if parameter["required"] == true {
                    problems.push(format!("{name} is missing"));
                }
                continue;
            };
            let mut of_each = schema;
            if schema["type"] == "array" {
                of_each = &schema["items"];
                if parameter["explode"] == false {
                    if values.len() > 1 {
                        problems.push(format!("{name} is given more than once"));
                    }
                    values = values[0].split(',').map(str::to_owned).collect();
                }
            } else if values.len() > 1 {
                problems.push(format!("{name} is given more than once"));
            }
            for value in values {
                problems.extend(self.schemas.text_problems(name, of_each, &value));
            }
        }
        problems.extend(given.keys().map(|name| format!("there is no parameter {name}")));
        problems
    }

    fn body_problems(&self, operation: &Operation, request: &Request) -> Vec<String> {
        let Some(described) = self.definition(operation).get("requestBody") else {
            let is_empty = request.body.is_empty();
            return if is_empty { vec![] } else { vec!["it has a body".to_owned()] };
        };
        if request.header("content-type") != Some("application/json") {
            return vec!["its body is not said to be JSON".to_owned()];
        }
        let schema = &self.schemas.resolve(described)["content"]["application/json"]["schema"];
        match serde_json::from_slice(&request.body) {
            Ok(body) => self.schemas.problems("body", schema, &body),
            Err(error) => vec![format!("its body is not JSON: {error}")],
        }
    }
}

/// The parameters of a path that fits a template.
fn parameters(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (names, values) = (template.split('/'), path.split('/').collect::<Vec<_>>());
    let names = names.collect::<Vec<_>>();
    if names.len() != values.len() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (name, value) in names.into_iter().zip(values) {
        match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => _ = parameters.insert(name.to_owned(), value.to_owned()),
            None if name == value => {}
            None => return None,
        }
    }
    Some(parameters)
}
