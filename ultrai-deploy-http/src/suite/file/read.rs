//! Reads the whole file.

use std::{collections::BTreeMap, path::Path};

use toml::de::DeTable;
use ultrai_deploy_core::{
    Result,
    name::{EnvironmentName, ServiceName},
};

use super::{
    File,
    reader::{Reader, Table},
    test::{self, Kind, Test},
};
use crate::{
    address::HttpUrl,
    spec::ServicePort,
    suite::{SuiteAt, SuiteSpec},
};

/// The fields of the file.
pub(super) const TOP: &[&str] = &["suite", "base_url", "environments", "test"];
/// The fields of `[suite]`.
pub(super) const SUITE: &[&str] = &["name", "parallel", "service", "port"];
/// The fields of `[environments.NAME]`.
pub(super) const ENVIRONMENT: &[&str] = &["base_url"];

pub(super) fn file(path: &Path, text: &str) -> Result<File> {
    let reader = Reader::new(path.to_owned(), text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = reader.place(error.span().map_or(0, |span| span.start));
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        reader.problem(
            place,
            "",
            format!("this is not TOML: {what}"),
            "write each key once, as key = value, text in quotes, tables as [name]",
        );
    }
    let document = if errors.is_empty() { document.into_inner() } else { DeTable::new() };
    let file = read(&reader, path, &document, errors.is_empty());
    reader.finish(file)
}

fn read(reader: &Reader<'_>, path: &Path, document: &DeTable<'_>, whole: bool) -> File {
    let mut table = Table::new(reader, String::new(), 0, document, TOP);
    let mut file = File {
        path: path.to_owned(),
        name: None,
        parallel: 1,
        service: None,
        port: None,
        base_url: table.take("base_url").and_then(|field| field.parse(HttpUrl::parse)),
        environments: BTreeMap::new(),
        tests: Vec::new(),
    };
    if let Some(mut suite) = table.take("suite").and_then(|field| field.table(SUITE)) {
        file.name = suite.take("name").and_then(|field| field.text()).map(str::to_owned);
        let parallel = suite.take("parallel").and_then(|field| field.number(1..=32));
        file.parallel = parallel.unwrap_or(1);
        let service = suite.take("service");
        file.service = service.and_then(|field| field.parse(|text| ServiceName::new(text)));
        file.port = suite.take("port").and_then(|field| field.number(1..=65535));
        if file.port.is_some() && file.service.is_none() {
            suite.problem("`port` is the port of a service", "write service = \"…\", too");
        }
        suite.finish();
    }
    for field in table.take("environments").map(|field| field.entries()).unwrap_or_default() {
        let name = field.parse_name(|text| EnvironmentName::new(text));
        let Some(mut own) = field.table(ENVIRONMENT) else { continue };
        let base = own.take("base_url").and_then(|field| field.parse(HttpUrl::parse));
        own.finish();
        file.environments.extend(name.zip(base));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let tests = table.take("test").map(|field| field.tables(test::REQUEST)).unwrap_or_default();
    let written = tests.len();
    if whole && written == 0 && reader.is_good() {
        table.problem("there is no test", "write at least one [[test]]");
    }
    let read = |(index, table)| test::read(table, index + 1, directory);
    file.tests = tests.into_iter().enumerate().filter_map(read).collect();
    table.finish();
    refuse_twins(reader, &file.tests);
    // What could not be read is missing to the others, too: that is told once only.
    if file.tests.len() == written && written > 0 {
        refuse_unfit(reader, &file);
    }
    file
}

/// Requests among each other are looked at by the suite itself.
fn refuse_twins(reader: &Reader<'_>, tests: &[Test]) {
    for (index, test) in tests.iter().enumerate() {
        let same = |other: &&Test| other.name() == test.name();
        let Some(other) = tests[..index].iter().find(same) else { continue };
        if matches!((&test.kind, &other.kind), (Kind::Request(..), Kind::Request(..))) {
            continue;
        }
        let field = format!("test \"{}\": name", test.name());
        let remedy = "give it another name: reports tell them apart by it";
        reader.problem(
            test.place_of(&["name"]),
            field,
            "an earlier test has the same name",
            remedy,
        );
    }
}

fn refuse_unfit(reader: &Reader<'_>, file: &File) {
    let requests: Vec<_> = file.requests().collect();
    if requests.is_empty() {
        return;
    }
    let tests = requests.iter().map(|(_, spec, _)| (*spec).clone()).collect();
    // Where it is looked is known when it is run.
    let at = Some(SuiteAt::Service(ServicePort { port: None }));
    let suite = SuiteSpec { at, parallel: file.parallel, tests };
    for problem in suite.problems() {
        let Some((test, ..)) = problem.test.and_then(|index| requests.get(index)) else {
            reader.problem(reader.place(0), problem.field, problem.what, problem.remedy);
            continue;
        };
        let names: &[&str] = match problem.field {
            "body" => &["json_body", "body"],
            "capture" => &["capture", "secret_capture"],
            "method" => &["method", "json_body", "body", "upload"],
            other => &[other],
        };
        let written = names.iter().find(|name| test.fields.iter().any(|(own, _)| own == *name));
        let field = written.copied().unwrap_or(problem.field);
        let field = format!("test \"{}\": {field}", test.name());
        reader.problem(test.place_of(names), field, problem.what, problem.remedy);
    }
}
