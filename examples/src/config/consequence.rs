//! What follows when a check does not pass.

use ultrai_deploy_core::consequence::{Consequences, Reaction, Severity};

use super::reader::{Field, Table};

/// `warning` is what alerting rules call what is minor here.
const SEVERITIES: [(&str, Severity); 4] = [
    ("critical", Severity::Critical),
    ("major", Severity::Major),
    ("minor", Severity::Minor),
    ("warning", Severity::Minor),
];

const REACTIONS: [(&str, Reaction); 4] = [
    ("rollback", Reaction::RollBack),
    ("hold", Reaction::Hold),
    ("notify", Reaction::Note),
    ("note", Reaction::Note),
];

/// Takes what is said of a check that does not pass.
pub(super) fn take(table: &mut Table<'_>) -> Consequences {
    let severity = table.take("severity").and_then(|field| severity(&field));
    let mut reaction = |name| table.take(name).and_then(|field| reaction(&field));
    Consequences {
        severity: severity.unwrap_or_default(),
        on_fail: reaction("on_fail"),
        on_error: reaction("on_error"),
        on_inconclusive: reaction("on_inconclusive"),
    }
}

/// A severity.
pub(super) fn severity(field: &Field<'_>) -> Option<Severity> {
    field.choice(&SEVERITIES)
}

/// What is done.
pub(super) fn reaction(field: &Field<'_>) -> Option<Reaction> {
    field.choice(&REACTIONS)
}
