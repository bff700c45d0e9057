//! Taking a snapshot, whatever instant a process died at before, and finding out which one it is.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{Context, Effect, Error, ErrorKind, Result};

use super::{Asked, Begun, Label, Object, PATIENCE, Progress, Snapshot, Snapshots, State, rest};

const TAKE: &str = "take a snapshot";

/// One snapshot on its way.
pub(super) struct Taking<'a> {
    pub(super) platform: &'a dyn Snapshots,
    pub(super) object: &'a Object,
    pub(super) label: &'a Label,
    pub(super) at: Timestamp,
    /// Whether one of this label may be what an earlier call began.
    pub(super) may_adopt: bool,
}

/// What ours is told by.
struct Own {
    /// Those that were there before.
    before: BTreeSet<String>,
    since: Option<Timestamp>,
    handle: Option<String>,
}

impl Taking<'_> {
    /// The snapshot, whole and kept.
    pub(super) async fn run(&self, cx: &Context) -> Result<Snapshot> {
        let before = self.platform.list(cx, self.object).await?;
        let whole = |one: &&Snapshot| self.label.is_on(one) && one.state == State::Whole;
        // One that nobody says is whole is not: it is taken anew, and goes with the surplus.
        let adopted = before.iter().filter(whole).max_by_key(|one| one.taken);
        let snapshot = match adopted.filter(|_| self.may_adopt) {
            Some(adopted) => adopted.clone(),
            None => self.anew(cx, &before).await?,
        };
        if snapshot.expires.is_some() {
            let detail = json!({ "snapshot": snapshot.id });
            let keeping = self.platform.keep(cx, self.object, &snapshot);
            cx.effect("keep a snapshot", &self.object.name, detail, keeping).await?;
        }
        Ok(snapshot)
    }

    async fn anew(&self, cx: &Context, before: &[Snapshot]) -> Result<Snapshot> {
        let asked = Asked { label: self.label, at: self.at };
        let detail = json!({ "label": self.label.to_string() });
        let beginning = self.platform.begin(cx, self.object, &asked);
        let begun = cx.effect(TAKE, &self.object.name, detail, beginning).await;
        let before = before.iter().map(|one| one.id.clone()).collect();
        match begun {
            Ok(Begun::Whole(snapshot)) => Ok(snapshot),
            Ok(Begun::Work { handle, since }) => {
                self.follow(cx, &Own { before, since, handle }, None).await
            }
            // Whether it began is seen by its label.
            Err(error) if self.may_have_begun(&error) => {
                let own = Own { before, since: None, handle: None };
                self.follow(cx, &own, Some(error)).await
            }
            Err(error) => Err(error),
        }
    }

    fn may_have_begun(&self, error: &Error) -> bool {
        let is_lost = matches!(
            error.kind(),
            ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Unexpected
        );
        is_lost && error.effect() == Effect::Unknown && self.platform.manners().has_labels
    }

    /// Waits until ours is whole. With `lost`, the answer to its call, it may not come at all.
    async fn follow(&self, cx: &Context, own: &Own, lost: Option<Error>) -> Result<Snapshot> {
        let patience = PATIENCE * self.platform.manners().lag;
        let mut end = Instant::now() + patience;
        let mut is_done = false;
        loop {
            if let (false, Some(handle)) = (is_done, &own.handle) {
                match self.platform.progress(cx, handle).await? {
                    Progress::Failed(why) => return Err(self.failed(&why)),
                    Progress::Done => {
                        is_done = true;
                        end = Instant::now() + patience;
                    }
                    Progress::UnderWay => end = Instant::now() + patience,
                    // Not yet seen everywhere, or forgotten: then the list has to tell.
                    Progress::Unknown => {}
                }
            }
            let listed = self.platform.list(cx, self.object).await?;
            let ours = listed.into_iter().filter(|one| self.is_ours(one, own));
            let ours = ours.min_by_key(|one| (one.state != State::Whole, one.taken));
            let is_seen = ours.is_some();
            match ours {
                Some(ours) if ours.state == State::Whole => return Ok(ours),
                Some(ours) if ours.state == State::Untold && is_done => return Ok(ours),
                // It is being made: the deadline of the context is all that ends this.
                Some(ours) if ours.state == State::Partial => end = Instant::now() + patience,
                // What has no handle takes its time and is not seen meanwhile.
                None if own.handle.is_none() && lost.is_none() => end = Instant::now() + patience,
                _ => {}
            }
            if Instant::now() >= end {
                return Err(lost.unwrap_or_else(|| self.unknown(is_seen, is_done)));
            }
            rest(cx, self.platform.pause()).await?;
        }
    }

    fn is_ours(&self, one: &Snapshot, own: &Own) -> bool {
        let is_new = !own.before.contains(&one.id);
        if self.platform.manners().has_labels {
            return is_new && self.label.is_on(one);
        }
        // Whoever began it, it holds what was there after the call.
        let is_late = own.since.is_none_or(|since| one.taken.is_some_and(|taken| taken >= since));
        is_new && is_late
    }

    fn failed(&self, why: &str) -> Error {
        let message = format!("that of {} failed: {why}", self.object.name);
        Error::new(ErrorKind::Unavailable, TAKE, message)
            .with_advice("look at its backups in the platform's dashboard")
    }

    fn unknown(&self, is_seen: bool, is_done: bool) -> Error {
        let what = match (is_seen, is_done) {
            (true, _) => "is there, but nothing tells whether it is whole",
            (false, true) => "is made, but not shown",
            (false, false) => "does not show up",
        };
        let message = format!("that of {} {what}", self.object.name);
        Error::new(ErrorKind::Timeout, TAKE, message)
    }
}
