//! `[policy]`: what the engine does differently from its defaults.

use std::time::Duration;

use ultrai_deploy_core::{
    pipeline::{BackupPolicy, DataPolicy, FailureAction, Policy, ReadinessPolicy},
    stage::Stage,
};

use super::reader::Table;

/// The stages that a deadline can be set for, by their names here. How long watching takes is
/// `watch`, and reporting is no work.
const STAGES: [(&str, Stage); 11] = [
    ("preflight", Stage::Preflight),
    ("lock", Stage::Lock),
    ("backup", Stage::Backup),
    ("configure", Stage::Configure),
    ("build", Stage::Build),
    ("push", Stage::Push),
    ("pre_deploy_tests", Stage::PreDeployTests),
    ("deploy", Stage::Deploy),
    ("verify", Stage::Verify),
    ("post_deploy_tests", Stage::PostDeployTests),
    ("finalise", Stage::Finalise),
];

const ACTIONS: [(&str, FailureAction); 3] = [
    ("rollback", FailureAction::RollBack),
    ("hold", FailureAction::Hold),
    ("ignore", FailureAction::Ignore),
];

/// Reads `[policy]`: the engine's policy, and the longest wait for a check's first success.
pub(super) fn read(mut table: Table<'_>) -> (Policy, Option<Duration>) {
    let mut policy = Policy::default();
    let backup = table.take("backup").and_then(|field| {
        field.choice(&[("required", BackupPolicy::Required), ("off", BackupPolicy::Off)])
    });
    policy.backup = backup.unwrap_or(policy.backup);
    let data = table.take("data").and_then(|field| {
        field.choice(&[("keep", DataPolicy::Keep), ("restore", DataPolicy::Restore)])
    });
    policy.data = data.unwrap_or(policy.data);
    let readiness = table.take("readiness").and_then(|field| {
        field.choice(&[
            ("warn", ReadinessPolicy::Warn),
            ("block", ReadinessPolicy::Block),
            ("off", ReadinessPolicy::Off),
        ])
    });
    policy.readiness = readiness.unwrap_or(policy.readiness);
    if let Some(keep) = table.take("keep_releases").and_then(|field| field.number(1..=1000_u16)) {
        policy.keep_releases = keep.into();
    }
    if let Some(keep) = table.take("keep_backups").and_then(|field| field.number(1..=1000_u16)) {
        // Only so many: what is older by days goes, too.
        policy.retention.last = keep.into();
        policy.retention.within = std::time::Duration::ZERO;
    }
    if let Some(keep) = table.take("keep_runs").and_then(|field| field.number(1..=10_000_u16)) {
        policy.keep_runs = keep.into();
    }
    if let Some(watch) = table.take("watch").and_then(|field| field.duration()) {
        policy.watch = watch;
    }
    if let Some(limit) = table.take("stage_deadline").and_then(|field| field.some_duration()) {
        policy.set_deadlines(limit);
    }
    if let Some(mut limits) = table.take("deadlines").and_then(|field| field.table()) {
        for (name, stage) in STAGES {
            if let Some(limit) = limits.take(name).and_then(|field| field.some_duration()) {
                policy.stage_deadlines.insert(stage, limit);
            }
        }
        limits.finish();
    }
    if let Some(limit) = table.take("restore_deadline").and_then(|field| field.some_duration()) {
        policy.restore_deadline = limit;
    }
    if let Some(limit) = table.take("rollback_deadline").and_then(|field| field.some_duration()) {
        policy.rollback_deadline = limit;
    }
    if let Some(mut actions) = table.take("on_failure").and_then(|field| field.table()) {
        let verify = ("verify", Stage::Verify);
        let tests = ("post_deploy_tests", Stage::PostDeployTests);
        for (name, stage) in [verify, tests, ("watch", Stage::Watch)] {
            let allowed: Vec<_> =
                ACTIONS.into_iter().filter(|(_, action)| action.is_allowed_in(stage)).collect();
            if let Some(action) = actions.take(name).and_then(|field| field.choice(&allowed)) {
                policy.failure_actions.insert(stage, action);
            }
        }
        actions.finish();
    }
    if let Some(hold) = table.take("hold").and_then(|field| field.some_duration()) {
        policy.hold = hold;
    }
    if let Some(attempts) = table.take("attempts").and_then(|field| field.number(1..=100_u32)) {
        policy.retry.attempts = attempts;
    }
    if let Some(pause) = table.take("pause").and_then(|field| field.some_duration()) {
        policy.retry.first = pause;
        policy.retry.longest = policy.retry.longest.max(pause);
    }
    if let Some(pause) = table.take("longest_pause").and_then(|field| field.some_duration()) {
        policy.retry.longest = pause;
    }
    let health_deadline = table.take("health_deadline").and_then(|field| field.some_duration());
    table.finish();
    (policy, health_deadline)
}
