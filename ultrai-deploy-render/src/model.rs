//! What Render's API takes and gives.
//!
//! What is read accepts more than Render promises: a field that is missing or null is empty, a word
//! that is new is kept as `Other`. Render's published description and what it sends differ, and a
//! deploy must not fail over a field that nobody looks at.

mod absent;
mod deploy;
mod event;
mod id;
mod job;
mod log;
mod metric;
mod owner;
mod postgres;
mod service;
mod variable;
mod word;

pub use self::{
    deploy::{
        BuildCache, Commit, Deploy, DeployFilter, DeployStatus, Image, Start, Started, Trigger,
    },
    event::{Cause, Ended, Event, EventFilter, EventKind, Failure, OomKilled, Outcome, Reason},
    id::{DeployId, JobId, OwnerId, PostgresId, ServiceId},
    job::{Job, JobFilter, JobStatus},
    log::{Direction, LogLabel, LogLine, LogPage, LogQuery},
    metric::{GroupBy, MetricQuery, Point, Series, SeriesLabel},
    owner::{Owner, OwnerKind},
    postgres::{Export, Postgres, PostgresStatus, Recovery, RecoveryInfo, RecoveryStatus},
    service::{
        AutoDeploy, Disk, ImageSource, Instance, MaintenanceMode, RuntimeDetails, Service,
        ServiceChange, ServiceDetails, ServiceKind, StartCommand, Suspension,
    },
    variable::{SecretFile, Variable},
};
