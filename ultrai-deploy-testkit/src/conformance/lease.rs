//! Leases.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use ultrai_deploy_core::{
    error::ErrorKind,
    lease::{Lease, Wait},
};

use super::{
    Cases, fails, ok,
    sample::{holder, target},
};

type Open<'a> = &'a dyn Fn(&str) -> Arc<dyn Lease>;

const RENEWAL: Duration = Duration::from_secs(5);
const LONG: Wait = Wait::AtMost(Duration::from_mins(1));

/// What every [`Lease`] must do. Returns how many cases ran.
///
/// It waits for leases to expire: run it with a paused clock.
///
/// # Panics
/// At the first case that fails.
pub async fn lease(open: impl Fn(&str) -> Arc<dyn Lease>) -> usize {
    let open: Open<'_> = &open;
    let mut cases = Cases::new("lease");
    cases.run("a dead holder's lease is free", a_dead_holders_lease_is_free(open)).await;
    all(cases, open).await
}

/// The same for a [`Lease`] that holders on other hosts take: that one is dead is known only by its
/// silence.
///
/// # Panics
/// At the first case that fails.
pub async fn shared_lease(open: impl Fn(&str) -> Arc<dyn Lease>) -> usize {
    let open: Open<'_> = &open;
    let mut cases = Cases::new("shared lease");
    cases.run("a dead holder's lease gets free", a_dead_holders_lease_gets_free(open)).await;
    all(cases, open).await
}

async fn all(mut cases: Cases, open: Open<'_>) -> usize {
    cases.run("one excludes another", one_excludes_another(open)).await;
    cases.run("one excludes itself", one_excludes_itself(open)).await;
    cases.run("fences only grow", fences_only_grow(open)).await;
    cases.run("a released lease is free", a_released_lease_is_free(open)).await;
    cases.run("one of many at once is first", one_of_many_at_once_is_first(open)).await;
    cases.run("a wait ends in time", a_wait_ends_in_time(open)).await;
    cases.run("a wait ends with the release", a_wait_ends_with_the_release(open)).await;
    cases.run("a silent holder is taken over", a_silent_holder_is_taken_over(open)).await;
    cases.run("a renewing holder is not", a_renewing_holder_is_not(open)).await;
    cases.run("a given up wait holds nothing", a_given_up_wait_holds_nothing(open)).await;
    cases.ran
}

async fn one_excludes_another(open: Open<'_>) {
    let (one, other) = (open("exclude"), open("exclude"));
    assert_eq!(ok(other.holder(&target()).await), None);
    let fence = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    let refused = other.acquire(&target(), &holder("second"), Wait::No).await;
    let message = fails(refused, ErrorKind::Fenced);
    assert!(message.contains("run first of user"), "names the holder: {message}");
    assert_eq!(ok(other.holder(&target()).await), Some(holder("first")));
    assert_eq!(ok(one.holder(&target()).await), Some(holder("first")));
    ok(one.renew(&target(), fence).await);
}

async fn one_excludes_itself(open: Open<'_>) {
    let lease = open("itself");
    let fence = ok(lease.acquire(&target(), &holder("first"), Wait::No).await);
    let refused = lease.acquire(&target(), &holder("second"), Wait::No).await;
    fails(refused, ErrorKind::Fenced);
    ok(lease.renew(&target(), fence).await);
}

async fn fences_only_grow(open: Open<'_>) {
    let mut last = None;
    for _ in 0..20 {
        let lease = open("grow");
        let fence = ok(lease.acquire(&target(), &holder("run"), Wait::No).await);
        assert!(last < Some(fence), "{fence} after {last:?}");
        ok(lease.release(&target(), fence).await);
        last = Some(fence);
    }
}

async fn a_released_lease_is_free(open: Open<'_>) {
    let (one, other) = (open("release"), open("release"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    ok(one.release(&target(), first).await);
    assert_eq!(ok(one.holder(&target()).await), None);
    fails(one.renew(&target(), first).await, ErrorKind::Fenced);
    let second = ok(other.acquire(&target(), &holder("second"), Wait::No).await);
    ok(one.release(&target(), first).await);
    ok(other.release(&target(), first).await);
    fails(one.renew(&target(), first).await, ErrorKind::Fenced);
    ok(other.renew(&target(), second).await);
    assert_eq!(ok(one.holder(&target()).await), Some(holder("second")));
}

async fn a_dead_holders_lease_is_free(open: Open<'_>) {
    let (one, other) = (open("dead"), open("dead"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    drop(one);
    assert_eq!(ok(other.holder(&target()).await), None);
    let second = ok(other.acquire(&target(), &holder("second"), Wait::No).await);
    assert!(second > first);
    fails(other.renew(&target(), first).await, ErrorKind::Fenced);
}

async fn a_dead_holders_lease_gets_free(open: Open<'_>) {
    let (one, other) = (open("dead"), open("dead"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    ok(one.renew(&target(), first).await);
    drop(one);
    let refused = other.acquire(&target(), &holder("second"), Wait::No).await;
    let message = fails(refused, ErrorKind::Fenced);
    assert!(message.contains("run first of user"), "names the holder: {message}");
    let begin = Instant::now();
    let second = ok(other.acquire(&target(), &holder("second"), LONG).await);
    assert!(begin.elapsed() > RENEWAL * 2, "after {:?} only", begin.elapsed());
    assert!(second > first);
    assert_eq!(ok(other.holder(&target()).await), Some(holder("second")));
    fails(other.renew(&target(), first).await, ErrorKind::Fenced);
}

async fn one_of_many_at_once_is_first(open: Open<'_>) {
    let leases: Vec<_> = (0..8).map(|_| open("many")).collect();
    let attempts = leases
        .iter()
        .map(|lease| async move { lease.acquire(&target(), &holder("run"), Wait::No).await });
    let won = join_all(attempts).await.iter().flatten().count();
    assert_eq!(won, 1);
}

async fn a_wait_ends_in_time(open: Open<'_>) {
    let (one, other) = (open("in-time"), open("in-time"));
    let fence = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    let begin = Instant::now();
    let wait = Wait::AtMost(Duration::from_secs(4));
    fails(other.acquire(&target(), &holder("second"), wait).await, ErrorKind::Fenced);
    let waited = begin.elapsed();
    assert!((4..6).contains(&waited.as_secs()), "{waited:?}");
    ok(one.renew(&target(), fence).await);
}

async fn a_wait_ends_with_the_release(open: Open<'_>) {
    let (one, other) = (open("released"), open("released"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    let begin = Instant::now();
    let release = async {
        sleep(Duration::from_secs(3)).await;
        ok(one.release(&target(), first).await);
    };
    let next = holder("second");
    let target = target();
    let (second, ()) = tokio::join!(other.acquire(&target, &next, LONG), release);
    assert!(ok(second) > first);
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

async fn a_silent_holder_is_taken_over(open: Open<'_>) {
    let (one, other) = (open("silent"), open("silent"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    let begin = Instant::now();
    let second = ok(other.acquire(&target(), &holder("second"), LONG).await);
    assert!(second > first);
    assert!(begin.elapsed() > RENEWAL * 2, "after {:?} only", begin.elapsed());
    let message = fails(one.renew(&target(), first).await, ErrorKind::Fenced);
    assert!(message.contains("run second of user"), "names the successor: {message}");
    ok(one.release(&target(), first).await);
    ok(other.renew(&target(), second).await);
    drop(one);
    assert_eq!(ok(other.holder(&target()).await), Some(holder("second")));
}

async fn a_renewing_holder_is_not(open: Open<'_>) {
    let (one, other) = (open("renewing"), open("renewing"));
    let first = ok(one.acquire(&target(), &holder("first"), Wait::No).await);
    let renew = async {
        loop {
            sleep(RENEWAL).await;
            ok(one.renew(&target(), first).await);
        }
    };
    let (target, next) = (target(), holder("second"));
    tokio::select! {
        taken = other.acquire(&target, &next, LONG) => drop(fails(taken, ErrorKind::Fenced)),
        () = renew => {}
    }
    ok(one.renew(&target, first).await);
}

async fn a_given_up_wait_holds_nothing(open: Open<'_>) {
    let (one, other) = (open("given-up"), open("given-up"));
    let (target, next) = (target(), holder("second"));
    let first = ok(one.acquire(&target, &holder("first"), Wait::No).await);
    let given_up =
        tokio::time::timeout(Duration::from_secs(2), other.acquire(&target, &next, LONG)).await;
    assert!(given_up.is_err());
    ok(one.release(&target, first).await);
    ok(one.acquire(&target, &holder("third"), LONG).await);
    assert_eq!(ok(other.holder(&target).await), Some(holder("third")));
}
