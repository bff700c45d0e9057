//! Labels of what is created for tasks, besides those of everything that a run creates.

use std::collections::HashMap;

use ultrai_deploy_core::{
    context::Key,
    digest,
    name::{ProjectName, RunId},
};

use crate::labels;

/// The task that something was created for, by its name.
pub const TASK: &str = "dev.ultrai.task";
/// Tells the containers of one command apart from those of others; 64 hex digits.
pub const SLUG: &str = "com.docker.compose.slug";
/// The step in the key of everything that is created for tasks.
pub(super) const STEP: &str = "task";

/// What tells one attempt at a task from all others.
pub(super) fn slug(key: &Key, task: &str) -> String {
    digest::sha256(format!("{}/{}/{task}", key.run, key.step).as_bytes())
}

/// Filters for the containers of all tasks of a run.
pub(super) fn of_run(project: &ProjectName, run: &RunId) -> Vec<String> {
    vec![
        labels::filter(labels::PROJECT, project.as_str()),
        labels::filter(labels::RUN, run.as_str()),
        TASK.to_owned(),
    ]
}

/// Filters for the containers of one task.
pub(super) fn of_task(project: &ProjectName, run: &RunId, slug: &str) -> Vec<String> {
    let mut filters = of_run(project, run);
    filters.push(labels::filter(SLUG, slug));
    filters
}

/// Whether a key, as it stands on a network, is that of a task of this run.
pub(super) fn is_of_task(key: &str, run: &RunId) -> bool {
    key.strip_prefix(run.as_str()).is_some_and(|rest| rest.starts_with(&format!("/{STEP}/")))
}

/// Makes the labels of a service's container those of a one-off. Without a number neither compose
/// nor this crate takes it for one of the service's own.
pub(super) fn mark(labels: &mut HashMap<String, String>, task: &str, slug: &str) {
    labels.remove(labels::NUMBER);
    labels.insert(labels::STEP.to_owned(), STEP.to_owned());
    labels.insert(labels::ONEOFF.to_owned(), "True".to_owned());
    labels.insert(SLUG.to_owned(), slug.to_owned());
    labels.insert(TASK.to_owned(), task.to_owned());
}
