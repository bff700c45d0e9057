//! Which backups are kept: pure, so that it can be told before anything is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    backup::Backup,
    name::{BackupId, ReleaseId, RunId},
};

/// Which backups are kept. A backup that one rule keeps is kept.
///
/// What a run took belongs together: it is kept or removed as one, and counts once. Days, weeks (from
/// Monday) and months are those of UTC; only those in which there is a backup count, and the newest of
/// each is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest of each of so many releases: 10. Of one release the others are not counted, so that
    /// many backups of what serves do not push out those of what served before.
    pub last: usize,
    /// All that are not older than this: 7 days.
    pub within: Duration,
    /// The newest of each of so many days: 0.
    pub daily: usize,
    /// The newest of each of so many weeks: 0.
    pub weekly: usize,
    /// The newest of each of so many months: 0.
    pub monthly: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { last: 10, within: Duration::from_hours(7 * 24), daily: 0, weekly: 0, monthly: 0 }
    }
}

/// The backups that are kept of `backups`: by the rules, those that are `protected` with all that
/// their runs took, and the newest whatever the rules say.
pub fn keep(
    backups: &[Backup],
    retention: &Retention,
    now: Timestamp,
    protected: &BTreeSet<BackupId>,
) -> BTreeSet<BackupId> {
    let groups = Group::all_of(backups);
    let mut rules = Rules::new(retention);
    let mut kept = BTreeSet::new();
    for (at, group) in groups.iter().enumerate() {
        let is_young = now.duration_since(group.at).unsigned_abs() <= retention.within
            // A clock was ahead.
            || group.at > now;
        let is_protected = group.ids.iter().any(|id| protected.contains(*id));
        // All rules count it, whichever keeps it.
        let is_wanted = rules.want(group);
        if at == 0 || is_young || is_protected || is_wanted {
            kept.extend(group.ids.iter().copied().cloned());
        }
    }
    kept
}

/// What a run took.
struct Group<'a> {
    ids: Vec<&'a BackupId>,
    /// When the newest was taken.
    at: Timestamp,
    release: Option<&'a ReleaseId>,
}

impl<'a> Group<'a> {
    /// Newest first.
    fn all_of(backups: &'a [Backup]) -> Vec<Self> {
        let mut groups: BTreeMap<&RunId, Self> = BTreeMap::new();
        for Backup { request, .. } in backups {
            let group = groups.entry(&request.run).or_insert(Self {
                ids: Vec::new(),
                at: request.at,
                release: request.release.as_ref(),
            });
            group.ids.push(&request.id);
            group.at = group.at.max(request.at);
        }
        // Ids of runs are ordered by time; of two at the same time the later run is newer.
        let mut groups: Vec<_> = groups.into_values().rev().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.at));
        groups
    }
}

/// The rules that count, with what they have counted.
struct Rules<'a> {
    releases: Counted<Option<&'a ReleaseId>>,
    days: Counted<jiff::civil::Date>,
    weeks: Counted<(i16, i8)>,
    months: Counted<(i16, i8)>,
}

impl<'a> Rules<'a> {
    fn new(retention: &Retention) -> Self {
        Self {
            releases: Counted::new(retention.last),
            days: Counted::new(retention.daily),
            weeks: Counted::new(retention.weekly),
            months: Counted::new(retention.monthly),
        }
    }

    /// Whether one of them keeps `group`, which is older than all they were asked before.
    fn want(&mut self, group: &Group<'a>) -> bool {
        let date = group.at.to_zoned(TimeZone::UTC).date();
        let week = date.iso_week_date();
        let wanted = [
            self.releases.is_next(group.release),
            self.days.is_next(date),
            self.weeks.is_next((week.year(), week.week())),
            self.months.is_next((date.year(), date.month())),
        ];
        wanted.contains(&true)
    }
}

/// What was seen of the first so many.
struct Counted<T> {
    most: usize,
    seen: BTreeSet<T>,
}

impl<T: Ord> Counted<T> {
    fn new(most: usize) -> Self {
        Self { most, seen: BTreeSet::new() }
    }

    /// Whether it is the first of its kind, and its kind among the first.
    fn is_next(&mut self, kind: T) -> bool {
        self.seen.len() < self.most && self.seen.insert(kind)
    }
}

#[cfg(test)]
mod tests;
