//! `[[migration]]`: what runs once in each environment, before the release comes.

use ultrai_deploy_core::{migration::Migration as Declared, name::ServiceName};

use super::{
    check::{name, service},
    reader::Table,
    source::Place,
    test::command,
};

/// A migration and the places that problems found later are told with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Migration {
    pub(super) declared: Declared,
    pub(super) place: Place,
    pub(super) service: (ServiceName, Place),
}

/// Reads one `[[migration]]`; `number` counts from 1.
pub(super) fn read(mut table: Table<'_>, number: usize) -> Option<Migration> {
    let name = name(&mut table, "migration", number);
    let service = table
        .require("service", "name the service in whose image it runs")
        .and_then(|field| service(&field));
    let command = table
        .require("command", "write command = [\"./migrate\", \"up\"]")
        .and_then(|field| command(&field));
    let reversible = table
        .require(
            "reversible",
            "write reversible = true where what it does can be taken back by hand, or the release \
             before can live with it, else false",
        )
        .and_then(|field| field.switch());
    let repeatable = table.take("repeatable").and_then(|field| field.switch());
    let timeout = table.take("timeout").and_then(|field| field.some_duration());
    let place = table.place();
    table.finish();
    let service = service?;
    let declared = Declared {
        name: name?,
        service: service.0.clone(),
        command: command?,
        reversible: reversible?,
        repeatable: repeatable.unwrap_or_default(),
        timeout: timeout.unwrap_or(Declared::TIMEOUT),
    };
    Some(Migration { declared, place, service })
}
