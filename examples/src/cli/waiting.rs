//! How long a command waits for whoever has the environment.

use std::time::Duration;

use jiff::Timestamp;
use ultrai_deploy_core::{
    Result,
    lease::{Holder, TIME_TO_LIVE, Wait},
    name::RunId,
};

use super::{
    Surroundings,
    progress::say,
    setup::{Home, Setup},
};

/// Longer than a process that is gone seems to hold an environment that several hosts share.
const UNTIL_GONE: Duration = Duration::from_secs(TIME_TO_LIVE.as_secs() + 5);

/// How long to wait for another run: as long as was said. On one host it is known at once whether its
/// process is gone. Where hosts share their state only silence tells, so nothing said means to listen.
pub(super) async fn wait(seconds: Option<u64>, setup: &Setup) -> Wait {
    if let Some(seconds) = seconds {
        return Wait::AtMost(Duration::from_secs(seconds));
    }
    if !setup.state.is_shared {
        return Wait::No;
    }
    // Whether that can be read is seen again when the lease is taken.
    if let Ok(Some(holder)) = setup.state.lease.holder(&setup.state.target).await {
        let limit = UNTIL_GONE.as_secs();
        say(&format!("{holder} has {}; waiting for it, {limit} s at most", setup.state.target));
    }
    Wait::AtMost(UNTIL_GONE)
}

/// Frees a shared environment from a process that is gone, for what does not wait by itself.
///
/// # Errors
/// `ErrorKind::Fenced` when the process lives; it is named.
pub(super) async fn outwait(setup: &Setup, around: &Surroundings) -> Result<()> {
    let Home { target, lease, is_shared, .. } = &setup.state;
    if !is_shared || lease.holder(target).await?.is_none() {
        return Ok(());
    }
    let own = Holder {
        run: RunId::generate(),
        host: around.initiator.host.clone(),
        process: around.initiator.process,
        user: around.initiator.user.clone(),
        since: Timestamp::now(),
    };
    let fence = lease.acquire(target, &own, wait(None, setup).await).await?;
    lease.release(target, fence).await
}
