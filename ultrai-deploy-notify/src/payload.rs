//! The JSON form that webhooks and commands get. It is a promise: `docs/notifications.md`.

use jiff::Timestamp;
use serde::Serialize;
use ultrai_deploy_core::{
    consequence::Severity,
    name::{EnvironmentName, ProjectName, ReleaseId, RunId},
    version::Version,
};

use crate::notice::{Name, Notice, What};

/// Version of the form. Fields may be added to it; what is there stays as it is.
const FORMAT: u16 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Payload<'a> {
    format: u16,
    key: &'a str,
    event: Name,
    severity: Option<Severity>,
    summary: String,
    project: &'a ProjectName,
    environment: &'a EnvironmentName,
    run: Option<&'a RunId>,
    version: Option<&'a Version>,
    version_before: Option<&'a Version>,
    initiator: Option<By<'a>>,
    at: Timestamp,
    cause: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<&'a RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a str>,
    commands: &'static [&'static str],
    left_out: u64,
}

#[derive(Debug, Serialize)]
struct By<'a> {
    user: &'a str,
    host: &'a str,
    reason: Option<&'a str>,
}

impl<'a> Payload<'a> {
    pub(crate) fn new(notice: &'a Notice, left_out: u64) -> Self {
        let what = &notice.what;
        let mut payload = Self {
            format: FORMAT,
            key: &notice.key,
            event: what.name(),
            severity: what.severity(),
            summary: notice.summary(),
            project: &notice.target.project,
            environment: &notice.target.environment,
            run: notice.run.as_ref(),
            version: notice.version.as_ref(),
            version_before: notice.version_before.as_ref(),
            initiator: notice.initiator.as_ref().map(|one| By {
                user: &one.user,
                host: &one.host,
                reason: one.reason.as_deref(),
            }),
            at: notice.at,
            cause: what.cause(),
            changed: None,
            release: None,
            undo: None,
            until: None,
            superseded_by: None,
            check: None,
            commands: what.commands(),
            left_out,
        };
        match what {
            What::Succeeded { changed } => payload.changed = Some(*changed),
            What::RolledBack { to, .. } => payload.release = to.as_ref(),
            What::Stuck { undo, .. } => payload.undo = Some(undo),
            What::ApprovalNeeded { until, .. } => payload.until = Some(*until),
            What::Superseded { by } => payload.superseded_by = Some(by),
            What::Alert { check, .. } | What::Recovered { check, .. } => {
                payload.check = Some(check);
            }
            _ => {}
        }
        payload
    }

    /// The payload as text.
    pub(crate) fn json(&self) -> Vec<u8> {
        // Names, numbers and texts: nothing here can fail to serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
