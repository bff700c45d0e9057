//! What a job writes: read from the logs while it runs, and never worth failing for.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Result,
    evidence::{Evidence, EvidenceKind},
    redact::Redactor,
    task::TaskOutput,
};

use super::Tasks;
use crate::{
    Client,
    model::{Direction, JobId, LogLine, LogQuery, OwnerId},
};

/// How many lines are kept.
const TAIL: usize = 100;
/// How many lines are read with one call.
const PAGE: usize = 100;
/// How many pages are read in a row; the others come with the next look.
const PAGES: usize = 5;
/// Lines may be found later than others that were written after them.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);
/// Longest look: the logs may not keep a job from being looked at.
const LOOK: Duration = Duration::from_secs(20);

/// Hands on the lines of a job, each once, and keeps the last ones.
pub(super) struct Output<'a> {
    client: &'a Client,
    pause: Duration,
    query: LogQuery,
    /// The next look, if it is not to be too often.
    next: Instant,
    /// The newest line that was seen.
    newest: Option<Timestamp>,
    /// Lines that may come again.
    seen: HashMap<String, Timestamp>,
    redactor: Redactor,
    watcher: &'a dyn TaskOutput,
    tail: VecDeque<String>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        tasks: &'a Tasks,
        owner: OwnerId,
        job: &JobId,
        redactor: Redactor,
        watcher: &'a dyn TaskOutput,
    ) -> Self {
        let mut query = LogQuery::new(owner, job.as_str());
        query.direction = Direction::Forward;
        Self {
            client: &tasks.client,
            pause: tasks.config.pause,
            query,
            next: Instant::now(),
            newest: None,
            seen: HashMap::new(),
            redactor,
            watcher,
            tail: VecDeque::new(),
        }
    }

    /// Reads what is new, unless that was done a moment ago: Render allows few looks at logs.
    pub(super) async fn read_now_and_then(&mut self, cx: &Context) {
        if Instant::now() >= self.next {
            self.read(cx).await;
        }
    }

    /// Reads what is new. What cannot be read now is read at the next look, if there is one.
    pub(super) async fn read(&mut self, cx: &Context) {
        let _unread = tokio::time::timeout(LOOK, self.pages(cx)).await;
        self.next = Instant::now() + self.client.api().spread("log", self.pause);
    }

    /// The last lines.
    pub(super) fn into_tail(self) -> String {
        let lines: Vec<_> = self.tail.into();
        Evidence::new(EvidenceKind::Log, "", lines.join("\n")).text
    }

    async fn pages(&mut self, cx: &Context) -> Result<()> {
        for _ in 0..PAGES {
            let page = self.client.log_page(cx, &self.query, PAGE).await?;
            page.logs.into_iter().for_each(|line| self.take(line));
            let (start, end) = (page.next_start_time, page.next_end_time);
            let moves = start.is_some_and(|start| self.query.start.is_none_or(|now| start > now));
            if page.has_more && moves {
                (self.query.start, self.query.end) = (start, end);
                continue;
            }
            self.begin_again();
            return Ok(());
        }
        Ok(())
    }

    /// All there was is read. The next look begins a little before the newest line.
    fn begin_again(&mut self) {
        let start = self.newest.and_then(|newest| newest.checked_sub(OVERLAP).ok());
        self.query.start = start;
        self.query.end = None;
        if let Some(start) = start {
            self.seen.retain(|_, at| *at >= start);
        }
    }

    fn take(&mut self, line: LogLine) {
        let at = line.timestamp.or(self.newest).unwrap_or(Timestamp::UNIX_EPOCH);
        let key = if line.id.is_empty() { format!("{at} {}", line.message) } else { line.id };
        if self.seen.insert(key, at).is_some() {
            return;
        }
        self.newest = self.newest.max(line.timestamp);
        for text in line.message.trim_end_matches(['\n', '\r']).split('\n') {
            let text = self.redactor.text(text.trim_end_matches('\r'));
            self.watcher.line(&text);
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(text);
        }
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("query", &self.query).finish_non_exhaustive()
    }
}
