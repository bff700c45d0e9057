use serde_json::{Value, json};
use ultrai_deploy_core::{name::EnvironmentName, verification::When, version::Version};

use super::{
    File, Selection, expect, read,
    test::{CAPTURE, COMMAND, REQUEST, UPLOAD},
};

fn parse(text: &str) -> Result<File, String> {
    File::parse("checks.toml", text).map_err(|error| error.message().to_owned())
}

fn selection(tags: &[&str]) -> Selection {
    Selection {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        version: Some(Version::parse("1.2.0").unwrap()),
        ..Selection::default()
    }
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/checks.schema.json")).unwrap()
}

/// `text` as JSON, for the schema.
fn document(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}

#[test]
fn bad_files_are_told_with_line_and_remedy() {
    let test = |fields: &str| format!("[[test]]\nname = \"a\"\npath = \"/\"\n{fields}\n");
    for (text, told) in [
        (String::new(), "1:1: there is no test; write at least one [[test]]"),
        ("[[test]\n".to_owned(), "this is not TOML"),
        ("[[test]]\npath = \"/\"".to_owned(), "1:1: test 1: `name` is missing"),
        (
            "[[test]]\nname = \"a\"".to_owned(),
            "test \"a\": it does not say what to do; write path = \"/…\", url",
        ),
        (test("url = \"http://x/\""), "it has path and url"),
        (test("statsu = [200]"), "4:1: test \"a\": statsu: unknown field; did you mean `status`?"),
        (test("status = 200"), "4:10: test \"a\": status: expected a list, found a number"),
        (
            test("status = [42]"),
            "status[0]: expected a whole number, found 42; write a number from 200 to 599",
        ),
        (test("json = { status = 1 }"), "begin it with `/`: write \"/status\""),
        (test("json_path = [{ path = \"providers\" }]"), "begin with $"),
        (
            test("json_path = [{ path = \"$.a\", exists = false, at_least = 1 }]"),
            "keep exists = false",
        ),
        (
            test("body_matches = \"(\""),
            "4:16: test \"a\": body_matches: `(` is no regular expression",
        ),
        (test("max_latency = 3"), "write max_latency = \"10s\", with a unit"),
        (test("timeout = \"2h\""), "at most \"1h\""),
        (test("method = \"BREW\""), "write GET, HEAD, POST"),
        (
            test("body = \"x\""),
            "4:1: test \"a\": body: GET requests send nothing; write method = \"POST\"",
        ),
        (
            test("method = \"PUT\"\nbody = \"x\"\njson_body = 1"),
            "keep one of json_body, body and upload",
        ),
        (
            test("method = \"POST\"\nupload = { file = \"nowhere.txt\" }"),
            "nowhere.txt cannot be read",
        ),
        (test("method = \"POST\"\nupload = { name = \"x\" }"), "it needs either file or text"),
        (test("request_headers = { authorization = \"Bearer x\" }"), "secret_headers"),
        (
            test("json = { \"/a\" = \"{{id}}\" }"),
            "4:1: test \"a\": json: nothing before it captures `id`; write capture = { id = \"/…\" } in a test above it",
        ),
        (
            test("capture = { ID = \"/id\" }"),
            "4:13: test \"a\": capture.ID: `ID` is no name of a variable",
        ),
        (test("capture = { id = 1 }"), "expected a table, found a number"),
        (test("needs = [\"b\"]"), "4:1: test \"a\": needs: no test before it is named `b`"),
        (test("severity = \"high\""), "write \"critical\", \"major\" or \"minor\""),
        (test("json = { \"/a\" = 2024-01-01 }"), "JSON has no such value"),
        (test("command = [\"true\"]"), "`service` is missing"),
        (test("[suite]\nport = 80"), "`port` is the port of a service"),
        (test("[suite]\nparallel = 33"), "write a number from 1 to 32"),
        (test("[environments.staging]\nurl = \"http://x\""), "unknown field"),
        (
            format!("{}{}", test(""), test("")),
            "6:1: test \"a\": name: an earlier test has the same name",
        ),
        (
            format!(
                "{}[[test]]\nname = \"a\"\ncommand = [\"x\"]\nservice = \"s\"\nwhen = \"pre\"\n",
                test("")
            ),
            "6:1: test \"a\": name: an earlier test has the same name",
        ),
    ] {
        let error = parse(&text).expect_err(&text);
        assert!(error.contains("checks.toml:"), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_their_order() {
    let text = "bas_url = \"x\"\n[[test]]\nname = \"a\"\npath = \"/\"\nstatus = [1]\nretries = -1\n\
                [[test]]\npath = \"b\"\n";
    let error = parse(text).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[0], "5 problems:");
    let places: Vec<_> = lines[1..].iter().map(|line| line.split(": ").next().unwrap()).collect();
    let expected =
        ["1:1", "5:11", "6:11", "7:1", "8:8"].map(|place| format!("checks.toml:{place}"));
    assert_eq!(places, expected, "{error}");
}

const SAMPLE: &str = r#"
base_url = "http://all.example/"

[suite]
name = "smoke"
parallel = 4

[environments.staging]
base_url = "https://staging.example/app"

[[test]]
name = "login"
method = "POST"
path = "/login"
json_body = { user = "probe" }
secret_capture = { token = "/token" }

[[test]]
name = "version"
path = "/version"
version_at = "/version"
tags = ["smoke", "critical"]

[[test]]
name = "items"
path = "/items"
request_headers = { authorization = "Bearer {{token}}" }
tags = ["own"]
timeout = "2s"
retries = 3

[[test]]
name = "unit"
command = ["pytest", "-x"]
service = "backend"
when = "pre"
tags = ["pre"]
"#;

#[test]
fn a_selection_has_what_it_needs_and_no_more() {
    let file = parse(SAMPLE).unwrap();
    let names = |tags: &[&str]| {
        let suite = file.suite(&selection(tags)).unwrap();
        let tests = suite.map(|suite| suite.tests).unwrap_or_default();
        let tasks = file.tasks(&selection(tags)).unwrap();
        let names = tests.into_iter().map(|test| test.name);
        names.chain(tasks.into_iter().map(|task| task.name)).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["login", "version", "items", "unit"]);
    assert_eq!(names(&["smoke"]), ["version"]);
    assert_eq!(names(&["own"]), ["login", "items"], "`items` uses what `login` captures");
    assert_eq!(names(&["pre"]), ["unit"]);
    assert!(file.check(&selection(&["pre"])).unwrap().is_none());
    let error = file.suite(&selection(&["smok"])).unwrap_err();
    assert_eq!(error.advice(), Some("use one of critical, own, pre, smoke"));
    assert_eq!(file.tasks(&selection(&[])).unwrap()[0].when, When::Pre);
}

#[test]
fn the_address_is_that_of_the_environment() {
    let file = parse(SAMPLE).unwrap();
    let at = |environment: Option<&str>, base: Option<&str>| {
        let mut selection = selection(&[]);
        selection.environment = environment.map(|name| EnvironmentName::new(name).unwrap());
        selection.base_url = base.map(|url| crate::address::HttpUrl::parse(url).unwrap());
        let suite = file.suite(&selection).unwrap().unwrap();
        serde_json::to_value(suite).unwrap()["at"].clone()
    };
    assert_eq!(at(None, None), json!({"url": "http://all.example/"}));
    assert_eq!(at(Some("staging"), None), json!({"url": "https://staging.example/app"}));
    assert_eq!(at(Some("other"), None), json!({"url": "http://all.example/"}));
    assert_eq!(at(Some("staging"), Some("http://here/")), json!({"url": "http://here/"}));

    let of_service = "[suite]\nservice = \"web\"\nport = 80\n[[test]]\nname = \"a\"\npath = \"/\"";
    let check = parse(of_service).unwrap().check(&Selection::default()).unwrap().unwrap();
    assert_eq!(check.service.unwrap().as_str(), "web");
    assert_eq!(check.probe["suite"]["at"], json!({"service": {"port": 80}}));
    let nowhere = parse("[[test]]\nname = \"a\"\npath = \"/\"").unwrap();
    let error = nowhere.suite(&Selection::default()).unwrap_err();
    assert!(error.advice().unwrap().contains("base_url"), "{error}");
}

#[test]
fn what_an_answer_must_tell_comes_with_the_release() {
    let file = parse(SAMPLE).unwrap();
    let check = file.check(&selection(&["smoke"])).unwrap().unwrap();
    assert_eq!(check.name, "smoke");
    let expected = json!({"at": "/version", "is": "1.2.0"});
    assert_eq!(check.probe["suite"]["tests"][0]["expect"]["version"], expected);
    let error = file.suite(&Selection::default()).unwrap_err();
    assert!(error.message().contains("test \"version\" has version_at"), "{error}");
}

#[test]
fn files_are_stored_with_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checks.toml");
    std::fs::write(directory.path().join("sample.bin"), [0, 159, 146, 150]).unwrap();
    std::fs::write(directory.path().join("large.bin"), vec![0; 256 * 1024 + 1]).unwrap();
    let text = |file: &str| {
        format!(
            "base_url = \"http://x/\"\n[[test]]\nname = \"a\"\npath = \"/\"\nmethod = \"POST\"\n\
             upload = {{ field = \"doc\", file = \"{file}\" }}\n"
        )
    };
    std::fs::write(&path, text("sample.bin")).unwrap();
    let suite = File::load(&path).unwrap().suite(&Selection::default()).unwrap().unwrap();
    let body = serde_json::to_value(&suite).unwrap()["tests"][0]["body"]["upload"].clone();
    assert_eq!(
        body,
        json!({"field": "doc", "name": "sample.bin",
        "content_type": "application/octet-stream", "content": "AJ+Slg=="})
    );
    std::fs::write(&path, text("large.bin")).unwrap();
    let error = File::load(&path).unwrap_err();
    assert!(error.message().contains("more than 256 KiB"), "{error}");
}

/// Whoever adds a field to one has to add it to the other.
#[test]
fn the_published_schema_has_the_fields_of_the_reader() {
    let schema = schema();
    for (at, known) in [
        ("", read::TOP),
        ("/properties/suite", read::SUITE),
        ("/properties/environments/additionalProperties", read::ENVIRONMENT),
        ("/$defs/request", REQUEST),
        ("/$defs/command", COMMAND),
        ("/$defs/upload", UPLOAD),
        ("/$defs/found", expect::FOUND),
        ("/$defs/header_capture", CAPTURE),
    ] {
        let table = schema.pointer(at).unwrap_or_else(|| panic!("{at} is missing"));
        assert_eq!(table["additionalProperties"], json!(false), "{at}");
        let mut published: Vec<_> = table["properties"].as_object().unwrap().keys().collect();
        let mut known = known.to_vec();
        published.sort_unstable();
        known.sort_unstable();
        assert_eq!(published, known, "{at}");
    }
}

#[test]
fn the_schema_and_the_reader_take_and_refuse_the_same() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let whole = r#"
        [[test]]
        name = "whole"
        path = "/x"
        method = "PUT"
        request_headers = { accept = "application/json" }
        secret_headers = { authorization = "API_AUTH" }
        json_body = { a = [1, true, "x"] }
        status = [200, 401]
        json = { "/a" = 1 }
        json_exists = ["/b"]
        json_path = [{ path = "$.a", equals = 1, matches = "1", at_least = 1, exists = true }]
        body_matches = "x"
        header = { x-a = "1" }
        header_exists = ["x-b"]
        header_matches = { x-c = "^1" }
        max_latency = "3s"
        version_at = "/v"
        capture = { id = "/id", key = { header = "x-key" } }
        secret_capture = { token = "/token" }
        timeout = "1m30s"
        retries = 2
        pause = "500ms"
        severity = "minor"
        tags = ["smoke"]
        [[test]]
        name = "upload"
        path = "/y/{{id}}"
        method = "POST"
        upload = { field = "f", text = "hello", name = "a.txt", content_type = "text/plain" }
        needs = ["whole"]
        [[test]]
        name = "command"
        command = ["true"]
        service = "web"
        when = "post"
        dependencies = "none"
        timeout = "5m"
        tags = ["post"]
    "#;
    let one = |fields: &str| format!("[[test]]\nname = \"a\"\n{fields}");
    for (text, good) in [
        (SAMPLE.to_owned(), true),
        (whole.to_owned(), true),
        (String::new(), false),
        (one(""), false),
        (one("path = \"x\""), false),
        (one("path = \"/\"\nurl = \"http://x/\""), false),
        (one("path = \"/\"\nstatus = [99]"), false),
        (one("path = \"/\"\nstatus = 200"), false),
        (one("path = \"/\"\nstatsu = [200]"), false),
        (one("path = \"/\"\ntimeout = 3"), false),
        (one("path = \"/\"\nretries = 101"), false),
        (one("path = \"/\"\nseverity = \"high\""), false),
        (one("path = \"/\"\njson = { a = 1 }"), false),
        (one("path = \"/\"\njson_path = [{ at_least = 1 }]"), false),
        (one("path = \"/\"\ncapture = { id = { cookie = \"x\" } }"), false),
        (one("path = \"/\"\nmethod = \"POST\"\nupload = { name = \"x\" }"), false),
        (one("path = \"/\"\nmethod = \"POST\"\nbody = \"x\"\njson_body = 1"), false),
        (one("command = [\"x\"]\nservice = \"s\""), false),
        (one("command = []\nservice = \"s\"\nwhen = \"pre\""), false),
        (one("command = [\"x\"]\nservice = \"s\"\nwhen = \"verify\""), false),
        (one("command = [\"x\"]\nservice = \"s\"\nwhen = \"pre\"\nstatus = [200]"), false),
        (format!("{}\n[suite]\nparallel = 0", one("path = \"/\"")), false),
        (format!("{}\n[suites]", one("path = \"/\"")), false),
        (format!("base_url = 1\n{}", one("path = \"/\"")), false),
    ] {
        let read = parse(&text);
        let document = document(&text);
        let valid = validator.validate(&document);
        assert_eq!(read.is_ok(), good, "the reader: {text}: {read:?}");
        let told = valid.as_ref().err().map(ToString::to_string);
        assert_eq!(valid.is_ok(), good, "the schema: {text}: {told:?}");
    }
}

/// The file that the documentation points to.
#[test]
fn the_example_is_read_and_valid() {
    let text = include_str!("../../../../examples/checks.toml");
    let file = parse(text).unwrap();
    assert!(jsonschema::is_valid(&schema(), &document(text)));
    assert!(file.tags().is_superset(&["smoke", "post", "pre", "critical"].into()));
    let suite = file.suite(&selection(&[])).unwrap().unwrap();
    assert_eq!(suite.tests.len(), 11);
}

/// What the documentation shows, and that it tells of every field.
#[test]
fn the_documentation_is_true() {
    let text = include_str!("../../../../docs/checks-toml.md");
    let sample = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(jsonschema::is_valid(&schema(), &document(sample)));
    let file = parse(sample).unwrap();
    assert_eq!(file.suite(&selection(&["post"])).unwrap().unwrap().tests.len(), 2);
    let fields = [read::TOP, read::SUITE, REQUEST, COMMAND, UPLOAD, expect::FOUND].concat();
    for field in fields {
        assert!(text.contains(&format!("`{field}`")), "{field}");
    }
}
