//! What services depend on, and where services are named at all.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_config::suggest;
use ultrai_deploy_core::name::ServiceName;

use super::{
    check,
    reader::{Reader, Table},
    source::Place,
};

/// What a service depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Depends {
    on: Vec<(ServiceName, Place)>,
    /// Where the service stands.
    at: Place,
}

impl Depends {
    /// Takes `depends_on`.
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        let field = table.take("depends_on");
        let items = field.map(|field| field.items("[\"db\"]")).unwrap_or_default();
        Self { on: items.iter().filter_map(check::service).collect(), at: table.place() }
    }

    /// The services.
    pub(super) fn names(&self) -> Vec<ServiceName> {
        self.on.iter().map(|(name, _)| name.clone()).collect()
    }

    fn has(&self, wanted: &ServiceName) -> bool {
        self.on.iter().any(|(name, _)| name == wanted)
    }
}

/// Refuses services that depend on what does not exist, or on each other.
pub(super) fn check<'a>(
    reader: &Reader<'_>,
    services: impl Iterator<Item = (&'a ServiceName, &'a Depends)>,
) {
    let services: BTreeMap<&ServiceName, &Depends> = services.collect();
    let named = services.iter().flat_map(|(name, depends)| {
        depends.on.iter().map(move |place| (format!("services.{name}.depends_on"), place))
    });
    refuse_unknown(reader, named, services.keys().copied());
    if let Some(cycle) = cycle(&services) {
        let Some(first) = cycle.first().and_then(|name| services.get(*name)) else { return };
        let way: Vec<_> = cycle.iter().map(|name| name.as_str()).collect();
        reader.problem_at(
            first.at,
            format!("services.{}.depends_on", way[0]),
            format!("services wait for each other: {} → {}", way.join(" → "), way[0]),
            "take one of these dependencies out",
        );
    }
}

/// Places where services are named that do not exist.
pub(super) fn refuse_unknown<'a>(
    reader: &Reader<'_>,
    named: impl Iterator<Item = (String, &'a (ServiceName, Place))>,
    known: impl Iterator<Item = &'a ServiceName>,
) {
    let known: BTreeSet<_> = known.collect();
    for (field, (name, place)) in named {
        if !known.contains(name) {
            reader.problem_at(
                *place,
                field,
                format!("there is no service `{name}`"),
                unknown(name, || known.iter().map(|name| name.as_str())),
            );
        }
    }
}

/// What to write instead of an unknown service.
pub(super) fn unknown<'a, I: Iterator<Item = &'a str>>(
    name: &ServiceName,
    known: impl Fn() -> I,
) -> String {
    match suggest::nearest(name.as_str(), known()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known().next().is_none() => "there are no services".to_owned(),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// The services of a cycle, each followed by one that it depends on.
fn cycle<'a>(services: &BTreeMap<&'a ServiceName, &Depends>) -> Option<Vec<&'a ServiceName>> {
    let mut left: Vec<&ServiceName> = services.keys().copied().collect();
    loop {
        let rest: Vec<_> =
            left.iter().copied().filter(|name| needed(services, name, &left).is_some()).collect();
        if rest.len() == left.len() {
            break;
        }
        left = rest;
    }
    // Each that is left needs another that is left, so following them comes back.
    let mut way = vec![*left.first()?];
    loop {
        let next = needed(services, way.last()?, &left)?;
        if let Some(begin) = way.iter().position(|name| *name == next) {
            return Some(way.split_off(begin));
        }
        way.push(next);
    }
}

/// One of `left` that a service depends on.
fn needed<'a>(
    services: &BTreeMap<&'a ServiceName, &Depends>,
    name: &ServiceName,
    left: &[&'a ServiceName],
) -> Option<&'a ServiceName> {
    let service = services.get(name)?;
    left.iter().copied().find(|other| service.has(other))
}
