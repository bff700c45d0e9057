//! Notifications beside the work that they tell of.

use std::{
    fmt,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ultrai_deploy_core::{
    Result, journal::Journal, name::EnvironmentName, observer::Observer, secret::SecretSource,
};
use ultrai_deploy_http::{Client, Config};
use ultrai_deploy_notify::{
    self as notify, Channel, FINISH, Ledger, Notice, Notifications, Worker,
};

use super::progress::{redactor, say};

/// The receivers of an environment.
pub(super) struct Notices {
    notifications: Notifications,
    /// Until it is driven.
    worker: Mutex<Option<Worker>>,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Notices {
    /// Those of `receivers` that are told of `environment`; what was told is remembered in `directory`.
    pub(super) fn open(
        receivers: &[notify::Config],
        environment: &EnvironmentName,
        directory: &Path,
        secrets: &Arc<dyn SecretSource>,
    ) -> Result<Self> {
        let client = Client::new(Config::default())?;
        let channels = receivers
            .iter()
            .filter(|receiver| receiver.applies_to(environment))
            .map(|receiver| Channel::from_config(receiver, client.clone(), Arc::clone(secrets)))
            .collect::<Result<Vec<_>>>()?;
        let ledger = (!channels.is_empty()).then(|| Ledger::new(directory.join("notified.json")));
        let parts = notify::Parts { ledger, redactor: redactor(), ..notify::Parts::default() };
        let (notifications, worker) = Notifications::with(channels, parts);
        Ok(Self { notifications, worker: Mutex::new(Some(worker)) })
    }

    /// Who has to see the records of a run.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(self.notifications.clone())
    }

    /// Tells something that is no record.
    pub(super) fn tell(&self, notice: Notice) {
        self.notifications.notify(notice);
    }

    /// Does `work`, and sends meanwhile; what is left then has [`FINISH`]. What a process that died did
    /// not tell is told, too.
    pub(super) async fn beside<T>(
        &self,
        journal: &dyn Journal,
        work: impl Future<Output = T>,
    ) -> T {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(worker) = worker else { return work.await };
        self.notifications.catch_up(journal).await;
        let done = Box::pin(worker.beside(FINISH, work)).await;
        let counts = self.notifications.counts();
        if counts.is_incomplete() {
            say("warning: not everybody could be told; ULTRAI_LOG=warn shows why");
        }
        done
    }
}
