//! A backup is there, young enough, and whole.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Found, PreflightCheck};
use crate::{
    backup::BackupStore,
    clock::{Clock, SystemClock},
    context::Context,
    error::{Chain, Result},
    name::Target,
};

/// Looks for the newest backup of an environment, and reads it back.
#[derive(Debug)]
pub struct BackupCheck {
    store: Arc<dyn BackupStore>,
    target: Target,
    max_age: Duration,
    clock: Arc<dyn Clock>,
}

impl BackupCheck {
    /// How old the newest backup may be where nothing is said: a day.
    pub const MAX_AGE: Duration = Duration::from_hours(24);

    /// The newest backup of `target` must be whole and no older than `max_age`.
    pub fn new(store: Arc<dyn BackupStore>, target: Target, max_age: Duration) -> Self {
        Self { store, target, max_age, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

#[async_trait]
impl PreflightCheck for BackupCheck {
    fn name(&self) -> &'static str {
        "backup"
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let target = &self.target;
        let take = format!("take one: `ultrai backup create -e {}`", target.environment);
        let all = cx.bounded(self.store.list(target)).await?;
        let Some(newest) = all.into_iter().max_by_key(|backup| backup.request.at) else {
            return Ok(Found::bad(format!("there is no backup of {target}"), take));
        };
        let id = &newest.request.id;
        let age = self.clock.now().duration_since(newest.request.at).unsigned_abs();
        let hours = age.as_secs_f64() / 3600.0;
        if age > self.max_age {
            let most = self.max_age.as_secs_f64() / 3600.0;
            let what =
                format!("the newest backup, {id}, is {hours:.1} h old; {most:.1} h are allowed");
            return Ok(Found::bad(what, take));
        }
        if let Err(error) = cx.bounded(self.store.verify(target, id)).await {
            cx.check()?;
            return Ok(Found::bad(format!("backup {id} is not whole: {}", Chain(&error)), take));
        }
        Ok(Found::good(format!("backup {id} is whole and {hours:.1} h old")))
    }
}
