//! `[policy]`: what the engine does differently from its defaults.

use std::time::Duration;

use ultrai_deploy_core::pipeline::{BackupPolicy, Policy};

use super::reader::Table;

/// Reads `[policy]`: the engine's policy, and the longest wait for a check's first success.
pub(super) fn read(mut table: Table<'_>) -> (Policy, Option<Duration>) {
    let mut policy = Policy::default();
    let backup = table.take("backup").and_then(|field| {
        field.choice(&[("required", BackupPolicy::Required), ("off", BackupPolicy::Off)])
    });
    policy.backup = backup.unwrap_or(policy.backup);
    if let Some(keep) = table.take("keep_releases").and_then(|field| field.number(1..=1000_u16)) {
        policy.keep_releases = keep.into();
    }
    if let Some(keep) = table.take("keep_backups").and_then(|field| field.number(1..=1000_u16)) {
        policy.keep_backups = keep.into();
    }
    if let Some(watch) = table.take("watch").and_then(|field| field.duration()) {
        policy.watch = watch;
    }
    policy.stage_deadline = table.take("stage_deadline").and_then(|field| field.some_duration());
    if let Some(limit) = table.take("rollback_deadline").and_then(|field| field.some_duration()) {
        policy.rollback_deadline = limit;
    }
    let health_deadline = table.take("health_deadline").and_then(|field| field.some_duration());
    table.finish();
    (policy, health_deadline)
}
