//! What a check asks of the requests that a platform measures.

use std::time::Duration;

use ultrai_deploy_hosted::metrics::MetricsSpec;

use super::reader::{Field, Table};

/// Platforms measure by the minute.
const SHORTEST: Duration = Duration::from_mins(1);

/// Takes the fields that ask for it; nothing where there are none.
pub(super) fn take(table: &mut Table<'_>) -> Option<MetricsSpec> {
    let errors = table.take("max_error_percent");
    let p95 = table.take("max_p95");
    let window = table.take("window");
    let requests = table.take("min_requests");
    let limits = [&errors, &p95].into_iter().flatten().count();
    let mut spec = MetricsSpec::default();
    if limits == 0 {
        if let Some(field) = window.as_ref().or(requests.as_ref()) {
            field.name_problem(
                "it belongs to a check of what a platform measures",
                "write max_error_percent or max_p95, too, or take it out",
            );
        }
        return None;
    }
    spec.max_error_share = errors.and_then(|field| percent(&field)).map(|percent| percent / 100.0);
    spec.max_p95 = p95.and_then(|field| field.some_duration());
    if let Some(window) = window.and_then(|field| long_enough(&field)) {
        spec.window = window;
    }
    if let Some(requests) = requests.and_then(|field| field.number(1..=1_000_000)) {
        spec.min_requests = requests;
    }
    Some(spec)
}

fn percent(field: &Field<'_>) -> Option<f64> {
    let percent = field.json()?.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        field.problem("it is no number from 0 to 100", "write 2 for two of a hundred requests");
    }
    percent
}

fn long_enough(field: &Field<'_>) -> Option<Duration> {
    let window = field.duration()?;
    if window < SHORTEST {
        field.problem("platforms measure by the minute", "write window = \"1m\" or more");
        return None;
    }
    Some(window)
}
