use proptest::prelude::*;

use super::*;
use crate::{
    backup::BackupRequest,
    name::{EnvironmentName, ProjectName, Target},
};

const HOUR: i64 = 3600;

/// A backup of release `release`, `hours` after the epoch's first Monday.
fn backup(run: usize, number: usize, release: u8, hours: i64) -> Backup {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Backup {
        request: BackupRequest {
            id: BackupId::new(format!("b{run:04}-{number}")).unwrap(),
            target,
            run: RunId::new(format!("r{run:04}")).unwrap(),
            at: at(hours),
            release: Some(ReleaseId::new(format!("release{release}")).unwrap()),
            version: None,
            reason: String::new(),
        },
        parts: Vec::new(),
    }
}

fn at(hours: i64) -> Timestamp {
    // 1970-01-05 was a Monday.
    Timestamp::from_second((4 * 24 + hours) * HOUR).unwrap()
}

fn nothing() -> Retention {
    Retention { last: 0, within: Duration::ZERO, daily: 0, weekly: 0, monthly: 0 }
}

/// The numbers of the runs whose backups are kept.
fn kept(backups: &[Backup], retention: &Retention, now: i64) -> Vec<usize> {
    let kept = keep(backups, retention, at(now), &BTreeSet::new());
    let numbers = backups.iter().enumerate().filter(|(_, one)| kept.contains(&one.request.id));
    numbers.map(|(number, _)| number).collect()
}

/// One each six hours for ten weeks, of one release.
fn many() -> Vec<Backup> {
    (0..280).map(|number| backup(number, 0, 1, i64::try_from(number).unwrap() * 6)).collect()
}

#[test]
fn the_newest_is_kept_whatever_the_rules_say() {
    assert_eq!(kept(&many(), &nothing(), 280 * 6), [279]);
    assert_eq!(kept(&[], &nothing(), 0), Vec::<usize>::new());
}

#[test]
fn of_a_release_the_newest_counts() {
    let backups: Vec<_> = [1, 1, 2, 2, 2, 3, 1]
        .into_iter()
        .enumerate()
        .map(|(number, release)| backup(number, 0, release, i64::try_from(number).unwrap()))
        .collect();
    assert_eq!(kept(&backups, &Retention { last: 2, ..nothing() }, 99), [5, 6]);
    assert_eq!(kept(&backups, &Retention { last: 9, ..nothing() }, 99), [4, 5, 6]);
}

#[test]
fn the_newest_of_each_day_week_and_month_is_kept() {
    // Each day ends with its fourth: 3, 7, 11, …
    let daily = Retention { daily: 3, ..nothing() };
    assert_eq!(kept(&many(), &daily, 280 * 6), [271, 275, 279]);
    // A week from Monday has 28.
    let weekly = Retention { weekly: 3, ..nothing() };
    assert_eq!(kept(&many(), &weekly, 280 * 6), [223, 251, 279]);
    // January has 27 days left then, February 28, March begins on the 56th day.
    let monthly = Retention { monthly: 9, ..nothing() };
    assert_eq!(kept(&many(), &monthly, 280 * 6), [27 * 4 - 1, 55 * 4 - 1, 279]);
    let both = Retention { daily: 2, weekly: 2, ..nothing() };
    assert_eq!(kept(&many(), &both, 280 * 6), [251, 275, 279]);
}

/// As restic: a day without a backup does not use up one of the days.
#[test]
fn days_without_a_backup_do_not_count() {
    let backups = [backup(0, 0, 1, 0), backup(1, 0, 1, 24 * 40), backup(2, 0, 1, 24 * 90)];
    assert_eq!(kept(&backups, &Retention { daily: 2, ..nothing() }, 24 * 200), [1, 2]);
}

#[test]
fn what_is_young_is_kept_and_what_is_of_the_future_too() {
    let within = Retention { within: Duration::from_hours(12), ..nothing() };
    assert_eq!(kept(&many(), &within, 279 * 6), [277, 278, 279]);
    assert_eq!(kept(&many(), &within, 100 * 6).len(), 280 - 98);
}

#[test]
fn what_a_run_took_is_kept_together() {
    let backups =
        [backup(0, 0, 1, 0), backup(1, 0, 1, 24), backup(1, 1, 1, 25), backup(2, 0, 2, 48)];
    assert_eq!(kept(&backups, &Retention { last: 2, ..nothing() }, 99), [1, 2, 3]);
    let protected = [backups[1].request.id.clone()].into();
    let found = keep(&backups, &nothing(), at(99), &protected);
    assert_eq!(found.len(), 3, "{found:?}");
}

proptest! {
    #[test]
    fn rules_only_add_and_protection_always_holds(
        taken in prop::collection::vec((0..4_u8, 0..2000_i64), 1..60),
        (last, daily, weekly, monthly) in (0..5_usize, 0..5_usize, 0..5_usize, 0..5_usize),
        within in 0..200_u64,
        now in 0..2500_i64,
        protected in prop::collection::vec(0..60_usize, 0..5),
    ) {
        let backups: Vec<_> = taken
            .iter()
            .enumerate()
            .map(|(number, (release, hours))| backup(number, 0, *release, *hours))
            .collect();
        let protected: BTreeSet<_> = protected
            .into_iter()
            .filter_map(|number| backups.get(number))
            .map(|backup| backup.request.id.clone())
            .collect();
        let within = Duration::from_hours(within);
        let all = Retention { last, within, daily, weekly, monthly };
        let found = keep(&backups, &all, at(now), &protected);
        prop_assert!(protected.is_subset(&found));
        let newest = backups.iter().map(|one| one.request.at).max();
        let mut newest = backups.iter().filter(|one| Some(one.request.at) == newest);
        let is_kept = newest.any(|one| found.contains(&one.request.id));
        prop_assert!(is_kept);
        for one in &backups {
            let age = at(now).duration_since(one.request.at);
            if age.unsigned_abs() <= within || one.request.at > at(now) {
                prop_assert!(found.contains(&one.request.id));
            }
        }
        // Each rule keeps at most as many as it says.
        let counted = keep(&backups, &Retention { within: Duration::ZERO, ..all.clone() }, at(9999), &BTreeSet::new());
        prop_assert!(counted.len() <= last + daily + weekly + monthly + 1);
        // More of a rule keeps what less of it kept; and pruning twice is pruning once.
        let more = Retention { last: last + 1, daily: daily + 1, ..all.clone() };
        prop_assert!(found.is_subset(&keep(&backups, &more, at(now), &protected)));
        let left: Vec<_> = backups.iter().filter(|one| found.contains(&one.request.id)).cloned().collect();
        prop_assert_eq!(keep(&left, &all, at(now), &protected), found);
    }
}
