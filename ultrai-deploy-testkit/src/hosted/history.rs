//! The deploys of a service on a platform that is not one.

use std::{collections::BTreeMap, time::Duration};

/// What a platform calls what becomes of deploys in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// It served, and another one does.
    pub(super) replaced: &'static str,
    /// It was stopped, or another one overtook it.
    pub(super) stopped: &'static str,
}

/// How a deploy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What the platform calls it on the way, for equal parts of the time.
    pub words: Vec<String>,
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub end: End,
    /// The image that a person deploys meanwhile, at half time.
    pub overtaken_by: Option<String>,
}

/// How a deploy ends, with the platform's word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It serves.
    Live(String),
    /// It failed, or was left out.
    Over(String),
    /// It does not end, and is called that from then on.
    Never(String),
}

/// How a deploy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// On the way.
    Open,
    /// It serves.
    Live,
    /// It served.
    Replaced,
    /// It will not serve.
    Over,
}

/// What is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct What {
    /// An image.
    pub image: Option<String>,
    /// A commit.
    pub commit: Option<String>,
}

impl What {
    /// An image.
    pub fn image(image: impl Into<String>) -> Self {
        Self { image: Some(image.into()), commit: None }
    }
}

/// A deploy.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// Its id.
    pub id: String,
    /// What it brings.
    pub what: What,
    /// What began it, in the platform's words.
    pub trigger: &'static str,
    /// The variables that it is started with.
    pub variables: BTreeMap<String, String>,
    /// How it is.
    pub standing: Standing,
    /// What the platform calls that.
    pub status: String,
    /// When it began.
    pub began: Duration,
    /// When it came to serve.
    pub live_since: Option<Duration>,
    course: Course,
}

impl Deploy {
    /// Whether it is on the way.
    pub fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }
}

/// The deploys of a service.
#[derive(Clone, Debug)]
pub struct History {
    words: Words,
    /// Newest first.
    pub deploys: Vec<Deploy>,
}

impl History {
    pub(super) fn new(words: Words) -> Self {
        Self { words, deploys: Vec::new() }
    }

    /// The one that serves.
    pub fn live(&self) -> Option<&Deploy> {
        self.deploys.iter().find(|deploy| deploy.standing == Standing::Live)
    }

    /// Whether one is on the way.
    pub fn is_busy(&self) -> bool {
        self.deploys.iter().any(Deploy::is_open)
    }

    /// The one with this id.
    pub fn get(&self, id: &str) -> Option<&Deploy> {
        self.deploys.iter().find(|deploy| deploy.id == id)
    }

    /// Those that are seen, where a new one takes `lag` to be seen.
    pub fn seen(&self, now: Duration, lag: Duration) -> impl Iterator<Item = &Deploy> {
        self.deploys.iter().filter(move |deploy| deploy.began + lag <= now)
    }

    /// A deploy begins, and stops what is on the way.
    pub fn begin(
        &mut self,
        now: Duration,
        id: String,
        what: What,
        trigger: &'static str,
        variables: BTreeMap<String, String>,
        course: Course,
    ) -> Deploy {
        for older in self.deploys.iter_mut().filter(|older| older.is_open()) {
            older.standing = Standing::Over;
            self.words.stopped.clone_into(&mut older.status);
        }
        let status = course.words.first().cloned().unwrap_or_default();
        let (standing, live_since) = (Standing::Open, None);
        let begun = Deploy {
            id,
            what,
            trigger,
            variables,
            standing,
            status,
            began: now,
            live_since,
            course,
        };
        self.deploys.insert(0, begun.clone());
        begun
    }

    /// Stops one that is on the way, or that serves.
    pub fn stop(&mut self, id: &str) {
        let found = self.deploys.iter_mut().find(|deploy| deploy.id == id);
        if let Some(deploy) = found {
            deploy.standing = match deploy.standing {
                Standing::Open => Standing::Over,
                _ => Standing::Replaced,
            };
            self.words.stopped.clone_into(&mut deploy.status);
        }
    }

    /// Lets time go by. Returns what a person deploys now.
    pub(super) fn pass(&mut self, now: Duration) -> Option<String> {
        let newest = self.deploys.first_mut().filter(|deploy| deploy.is_open())?;
        let (passed, takes) = (now.saturating_sub(newest.began), newest.course.takes);
        if passed >= takes {
            let (standing, word) = match &newest.course.end {
                End::Live(word) => (Standing::Live, word),
                End::Over(word) => (Standing::Over, word),
                End::Never(word) => (Standing::Open, word),
            };
            newest.status.clone_from(word);
            newest.standing = standing;
            if standing == Standing::Live {
                newest.live_since = Some(newest.began + takes);
                let id = newest.id.clone();
                self.replace_all_but(&id);
            }
            return None;
        }
        let words = &newest.course.words;
        let at = words.iter().enumerate().rev().find(|(at, _)| {
            let begins = takes.saturating_mul(u32::try_from(*at).unwrap_or(u32::MAX));
            passed.saturating_mul(u32::try_from(words.len()).unwrap_or(u32::MAX)) >= begins
        });
        if let Some((_, word)) = at {
            newest.status = word.clone();
        }
        if passed * 2 >= takes { newest.course.overtaken_by.take() } else { None }
    }

    fn replace_all_but(&mut self, id: &str) {
        for older in self.deploys.iter_mut().filter(|one| one.id != id) {
            if older.standing == Standing::Live {
                older.standing = Standing::Replaced;
                self.words.replaced.clone_into(&mut older.status);
            }
        }
    }
}
