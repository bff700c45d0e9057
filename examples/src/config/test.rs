//! `[[test]]`: commands that prove a release, run with its own image and configuration.

use std::time::Duration;

use ultrai_deploy_core::{
    name::ServiceName,
    verification::{Dependencies, TaskSpec, When},
};

use super::{
    check::{name, service},
    reader::{Field, Table},
    source::Place,
};

/// A test and the places that problems found later are told with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) task: TaskSpec,
    pub(super) place: Place,
    pub(super) service: (ServiceName, Place),
}

/// Reads one `[[test]]`; `number` counts from 1.
pub(super) fn read(mut table: Table<'_>, number: usize) -> Option<Test> {
    let name = name(&mut table, "test", number);
    let service = table
        .require("service", "name the service in whose image it runs")
        .and_then(|field| service(&field));
    let command = table
        .require("command", "write command = [\"sh\", \"-c\", \"…\"]")
        .and_then(|field| command(&field));
    let when = table
        .require("when", "write when = \"pre\" (before anything changes) or when = \"post\"")
        .and_then(|field| field.choice(&[("pre", When::Pre), ("post", When::Post)]));
    let dependencies = table.take("dependencies").and_then(|field| {
        field.choice(&[("create", Dependencies::Create), ("none", Dependencies::None)])
    });
    let timeout = table.take("timeout").and_then(|field| field.some_duration());
    let place = table.place();
    table.finish();
    let service = service?;
    let task = TaskSpec {
        name: name?,
        service: service.0.clone(),
        command: command?,
        when: when?,
        dependencies: dependencies.unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_mins(10)),
    };
    Some(Test { task, place, service })
}

/// A command with its arguments; not empty.
pub(super) fn command(field: &Field<'_>) -> Option<Vec<String>> {
    if field.is_text() {
        let shell =
            format!("write {} = [\"sh\", \"-c\", \"…\"], or the words one by one", field.name);
        field.problem("expected a list of words, found text", shell);
        return None;
    }
    let items = field.items("[\"./program\", \"--flag\"]");
    let words: Vec<_> = items.iter().filter_map(|item| item.text().map(str::to_owned)).collect();
    match words.first() {
        Some(program) if !program.is_empty() => Some(words),
        _ if words.len() < items.len() => None,
        _ => {
            field.problem("there is no program in it", "write [\"./program\", \"--flag\"]");
            None
        }
    }
}
