//! `[[test]]`: one request, or one command.

use std::{fs, io::Read as _, path::Path, time::Duration};

use ultrai_deploy_core::{
    consequence::Severity,
    name::{SecretName, ServiceName},
    verification::{Dependencies, TaskSpec, When},
};

use super::{
    expect,
    reader::{Field, Place, Table},
};
use crate::{
    address::{HttpUrl, UrlPath},
    body::{Body, Content, MAX_UPLOAD, Upload},
    header::{HeaderName, HeaderValue},
    method::Method,
    pointer::Pointer,
    suite::{CaptureFrom, TestAt, TestSpec, VariableName},
};

/// The fields of a request.
pub(super) const REQUEST: &[&str] = &[
    "name",
    "tags",
    "severity",
    "path",
    "url",
    "method",
    "request_headers",
    "secret_headers",
    "json_body",
    "body",
    "upload",
    "status",
    "json",
    "json_exists",
    "json_path",
    "body_matches",
    "header",
    "header_exists",
    "header_matches",
    "max_latency",
    "version_at",
    "capture",
    "secret_capture",
    "needs",
    "timeout",
    "retries",
    "pause",
];
/// The fields of a command.
pub(super) const COMMAND: &[&str] =
    &["name", "tags", "command", "service", "when", "dependencies", "timeout"];
/// The fields of `upload`.
pub(super) const UPLOAD: &[&str] = &["field", "file", "text", "name", "content_type"];
/// The fields of a `capture` that is no pointer.
pub(super) const CAPTURE: &[&str] = &["header"];

/// A test, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) tags: Vec<String>,
    pub(super) place: Place,
    /// Where its fields begin.
    pub(super) fields: Vec<(String, Place)>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A request, and where its answer tells the version.
    Request(Box<TestSpec>, Option<Pointer>),
    Command(TaskSpec),
}

impl Test {
    pub(super) fn name(&self) -> &str {
        match &self.kind {
            Kind::Request(test, _) => &test.name,
            Kind::Command(task) => &task.name,
        }
    }

    /// Where one of these fields stands, or else the test.
    pub(super) fn place_of(&self, names: &[&str]) -> Place {
        let found = self.fields.iter().find(|(name, _)| names.contains(&name.as_str()));
        found.map_or(self.place, |(_, place)| *place)
    }
}

/// Reads one `[[test]]`; `number` counts from 1, and files are found from `directory`.
pub(super) fn read(mut table: Table<'_>, number: usize, directory: &Path) -> Option<Test> {
    let is_command = table.has("command");
    table = table.expect(if is_command { COMMAND } else { REQUEST });
    let (place, fields) = (table.place(), table.places());
    table.rename(&format!("test {number}"));
    let name = name(&mut table);
    let tags = table.take("tags").map(|field| words(&field, "[\"smoke\"]")).unwrap_or_default();
    let timeout = table.take("timeout").and_then(|field| field.duration());
    let kind = if is_command {
        command(&mut table, name, timeout)
    } else {
        request(&mut table, name, timeout, directory)
    };
    table.finish();
    Some(Test { tags, place, fields, kind: kind? })
}

fn name(table: &mut Table<'_>) -> Option<String> {
    let field = table.require("name", "write name = \"…\", as it shall stand in reports")?;
    let name = field.text()?;
    if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        field.problem("it is empty, too long or has control characters", "write a few words");
        return None;
    }
    table.rename(&format!("test \"{name}\""));
    Some(name.to_owned())
}

fn command(table: &mut Table<'_>, name: Option<String>, timeout: Option<Duration>) -> Option<Kind> {
    let command = table.take("command").map(|field| {
        let words = words(&field, "[\"./program\", \"--flag\"]");
        if words.first().is_none_or(String::is_empty) {
            field.problem("there is no program in it", "write [\"sh\", \"-c\", \"…\"]");
        }
        words
    });
    let service = table
        .require("service", "name the service in whose image it runs")
        .and_then(|field| field.parse(|text| ServiceName::new(text)));
    let when = table
        .require("when", "write when = \"pre\" (before anything changes) or when = \"post\"")
        .and_then(|field| field.choice(&[("pre", When::Pre), ("post", When::Post)]));
    let dependencies = table.take("dependencies").and_then(|field| {
        field.choice(&[("create", Dependencies::Create), ("none", Dependencies::None)])
    });
    Some(Kind::Command(TaskSpec {
        name: name?,
        service: service?,
        command: command?,
        when: when?,
        dependencies: dependencies.unwrap_or_default(),
        // As for tests of a deploy.toml.
        timeout: timeout.unwrap_or(Duration::from_mins(10)),
    }))
}

fn request(
    table: &mut Table<'_>,
    name: Option<String>,
    timeout: Option<Duration>,
    directory: &Path,
) -> Option<Kind> {
    let path = table.take("path").map(|field| field.parse(UrlPath::parse).map(TestAt::Path));
    let url = table.take("url").map(|field| field.parse(HttpUrl::parse).map(TestAt::Url));
    let at = match (path, url) {
        (Some(_), Some(_)) => {
            table.problem("it has path and url", "keep the one that says where to look");
            None
        }
        (None, None) => {
            table.problem(
                "it does not say what to do",
                "write path = \"/…\", url = \"http://…\", or command = [\"…\"]",
            );
            None
        }
        (path, url) => path.or(url).flatten(),
    };
    let url = HttpUrl::parse("http://localhost/").ok()?;
    let mut test = TestSpec::new(name.clone().unwrap_or_default(), TestAt::Url(url));
    if let Some(method) = table.take("method").and_then(|field| field.parse(Method::parse)) {
        test.method = method;
    }
    for field in table.take("request_headers").map(|field| field.entries()).unwrap_or_default() {
        let value = field.parse(HeaderValue::new);
        test.request_headers.extend(field.parse_name(HeaderName::new).zip(value));
    }
    for field in table.take("secret_headers").map(|field| field.entries()).unwrap_or_default() {
        let secret = field.parse(|text| SecretName::new(text));
        test.secret_headers.extend(field.parse_name(HeaderName::new).zip(secret));
    }
    test.body = body(table, directory);
    let version_at;
    (test.expect, version_at) = expect::read(table);
    for field in table.take("capture").map(|field| field.entries()).unwrap_or_default() {
        test.capture.extend(field.parse_name(|text| VariableName::new(text)).zip(capture(&field)));
    }
    for field in table.take("secret_capture").map(|field| field.entries()).unwrap_or_default() {
        let name = field.parse_name(|text| VariableName::new(text));
        test.secret_capture.extend(name.zip(capture(&field)));
    }
    test.needs = table.take("needs").map(|field| words(&field, "[\"login\"]")).unwrap_or_default();
    test.timeout = timeout.unwrap_or(test.timeout);
    if let Some(retries) = table.take("retries").and_then(|field| field.number(0..=100)) {
        test.retries = retries;
    }
    if let Some(pause) = table.take("pause").and_then(|field| field.duration()) {
        test.pause = pause;
    }
    let severity = table.take("severity").and_then(|field| {
        field.choice(&[
            ("critical", Severity::Critical),
            ("major", Severity::Major),
            ("minor", Severity::Minor),
        ])
    });
    test.severity = severity.unwrap_or_default();
    (test.name, test.at) = (name?, at?);
    Some(Kind::Request(Box::new(test), version_at))
}

fn capture(field: &Field<'_>) -> Option<CaptureFrom> {
    if field.is_text() {
        return field.parse(|text| Pointer::new(text)).map(CaptureFrom::Json);
    }
    let mut table = field.table(CAPTURE)?;
    let header = table.require("header", "write { header = \"x-token\" }, or a pointer as \"/id\"");
    let header = header.and_then(|field| field.parse(HeaderName::new));
    table.finish();
    header.map(CaptureFrom::Header)
}

fn body(table: &mut Table<'_>, directory: &Path) -> Option<Body> {
    let json = table.take("json_body").and_then(|field| field.json()).map(Body::Json);
    let text = table.take("body").and_then(|field| field.text().map(str::to_owned)).map(Body::Text);
    let upload = table.take("upload").and_then(|field| upload(&field, directory)).map(Body::Upload);
    let mut all = [json, text, upload].into_iter().flatten();
    let first = all.next();
    if all.next().is_some() {
        table.problem("it sends several things", "keep one of json_body, body and upload");
    }
    first
}

fn upload(field: &Field<'_>, directory: &Path) -> Option<Upload> {
    let mut table = field.table(UPLOAD)?;
    let of_form = table.take("field").and_then(|field| field.text()).unwrap_or("file").to_owned();
    let file = table.take("file");
    let text = table.take("text");
    let file_name = file.as_ref().and_then(Field::text).map(Path::new);
    let own_name = file_name.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let name = table.take("name").and_then(|field| field.text()).map(str::to_owned);
    let content_type = table.take("content_type").and_then(|field| field.parse(HeaderValue::new));
    let content = match (file, text) {
        (Some(file), None) => content_of(&file, directory),
        (None, Some(text)) => text.parse(|text| Content::new(text.as_bytes().to_vec())),
        _ => {
            table.problem("it needs either file or text", "write file = \"sample.txt\"");
            None
        }
    };
    table.finish();
    Some(Upload {
        field: of_form,
        name: name.or(own_name).unwrap_or_else(|| "upload.txt".to_owned()),
        // What HTTP takes for what nobody named (RFC 9110, section 8.3).
        content_type: content_type.or_else(|| HeaderValue::new("application/octet-stream").ok())?,
        content: content?,
    })
}

fn content_of(field: &Field<'_>, directory: &Path) -> Option<Content> {
    let path = directory.join(field.text()?);
    let mut bytes = Vec::new();
    // One byte more tells that it is too large, however large it is.
    let most = u64::try_from(MAX_UPLOAD).unwrap_or(u64::MAX).saturating_add(1);
    let read = fs::File::open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    if let Err(error) = read {
        let what = format!("{} cannot be read: {error}", path.display());
        field.problem(what, "name a file by its path from the directory of this one");
        return None;
    }
    Content::new(bytes)
        .map_err(|error| {
            let what = format!("the file has more than {} KiB", MAX_UPLOAD / 1024);
            field.problem(what, error.advice().unwrap_or_default());
        })
        .ok()
}

pub(super) fn words(field: &Field<'_>, example: &str) -> Vec<String> {
    field.items(example).iter().filter_map(|item| item.text().map(str::to_owned)).collect()
}
