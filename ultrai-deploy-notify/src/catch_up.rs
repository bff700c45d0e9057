//! Tells how runs ended whose process died before it told it.

use std::time::Duration;

use ultrai_deploy_core::{
    Chain, ErrorKind, Result,
    journal::{Event, Journal},
    name::RunId,
};

use crate::{
    ledger::Settled,
    notice::Notice,
    notifications::{Inner, Notifications},
};

/// How far back is looked: a day. Who did not hear of it until then does not need to any more.
const AGE: Duration = Duration::from_hours(24);
/// How many endings are told late.
const MOST: usize = 3;
/// How many runs are read, to know what those are about that this process may take over.
const RUNS: usize = 8;

impl Notifications {
    /// Reads what the newest runs are about, and tells how they ended, or that they are held, where
    /// the [`Ledger`](crate::Ledger) lacks it. To be called once, before a run is begun or resumed.
    ///
    /// At most three are told, and none that is older than a day. When the ledger begins just now
    /// none is: then nobody knows what was told before. What cannot be read is a warning, and changes
    /// nothing else. Gives how many are told.
    pub async fn catch_up(&self, journal: &dyn Journal) -> usize {
        let endings = match self.0.newest(journal).await {
            Ok(endings) => endings,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "it is not known how the last runs ended");
                return 0;
            }
        };
        let Some(ledger) = &self.0.ledger else { return 0 };
        match ledger.open().await {
            Ok(Some(settled)) => self.0.tell_missing(endings, &settled),
            Ok(None) => 0,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "it is not known what was told of the last runs");
                0
            }
        }
    }
}

impl Inner {
    /// How the newest runs ended, newest first.
    async fn newest(&self, journal: &dyn Journal) -> Result<Vec<Notice>> {
        let mut endings = Vec::new();
        for run in journal.runs().await?.iter().rev().take(RUNS) {
            endings.extend(self.ending(journal, run).await?);
        }
        Ok(endings)
    }

    async fn ending(&self, journal: &dyn Journal, run: &RunId) -> Result<Option<Notice>> {
        let records = match journal.load(run).await {
            Ok(records) => records,
            // Removed since it was listed, or nobody can tell what it says.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Unsupported
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut ending = None;
        for record in &records {
            let notice = self.read(run, record);
            if let Some(notice) = notice.filter(|notice| notice.what.name().ends_run()) {
                ending = Some(notice);
            } else if matches!(
                record.event,
                Event::RollbackRetried { .. } | Event::HoldReleased { .. }
            ) {
                // It goes on, and whoever drives it tells how it ends.
                ending = None;
            }
        }
        Ok(ending)
    }

    fn tell_missing(&self, endings: Vec<Notice>, settled: &Settled) -> usize {
        let now = self.clock.now();
        let is_young = |notice: &Notice| {
            now.duration_since(notice.at).unsigned_abs() <= AGE || notice.at > now
        };
        let young = endings.into_iter().filter(is_young).take(MOST).collect::<Vec<_>>();
        let tell = |notice: &Notice| {
            let key = notice.key.clone();
            self.tell_late(notice.clone(), |channel| settled.has(channel, &key))
        };
        // In the order in which they happened.
        young.iter().rev().filter(|notice| tell(notice)).count()
    }
}
