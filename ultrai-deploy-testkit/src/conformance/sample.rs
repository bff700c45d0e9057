//! Values that cases work with.

use jiff::Timestamp;
use ultrai_deploy_core::{
    Context,
    journal::{Event, Record},
    lease::{Fence, Holder},
    name::{EnvironmentName, ProjectName, RunId, Target},
};

use super::ok;

pub(super) fn target() -> Target {
    Target::new(ok(ProjectName::new("shop")), ok(EnvironmentName::new("staging")))
}

pub(super) fn run(id: &str) -> RunId {
    ok(RunId::new(id))
}

pub(super) fn context() -> Context {
    Context::detached(target(), run("run"))
}

pub(super) fn record(seq: u64, fence: u64) -> Record {
    note(seq, fence, &format!("record {seq}"))
}

pub(super) fn note(seq: u64, fence: u64, message: &str) -> Record {
    let event = Event::Note { message: message.to_owned() };
    Record { seq, at: Timestamp::UNIX_EPOCH, fence: Fence(fence), event }
}

pub(super) fn holder(id: &str) -> Holder {
    Holder {
        run: run(id),
        host: "host".to_owned(),
        process: 1,
        user: "user".to_owned(),
        since: Timestamp::UNIX_EPOCH,
    }
}
