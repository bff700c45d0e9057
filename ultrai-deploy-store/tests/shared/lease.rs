//! What a lease leaves in the store, and what it does with a slow one.

use std::{sync::Arc, time::Duration};

use object_store::{
    ObjectStore,
    memory::InMemory,
    path::Path,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Result,
    error::ErrorKind,
    lease::{Fence, Holder, Lease as _, Wait},
    name::RunId,
};
use ultrai_deploy_store::Lease;

use crate::{delete, names, target, write};

const LONG: Wait = Wait::AtMost(Duration::from_mins(1));

fn holder(run: &str) -> Holder {
    Holder {
        run: RunId::new(run).unwrap(),
        host: "host".into(),
        process: 1,
        user: "user".into(),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn lease(store: &Arc<dyn ObjectStore>) -> Lease {
    Lease::new(Arc::clone(store), &Path::default())
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

#[tokio::test(start_paused = true)]
async fn old_generations_and_renewals_go_and_the_number_stays() {
    let store = memory();
    for number in 1..=30 {
        // Every third one is dropped with the lease held, as by a crash.
        let lease = lease(&store);
        let fence = lease.acquire(&target(), &holder("run"), LONG).await.unwrap();
        assert_eq!(fence, Fence(number));
        for _ in 0..5 {
            lease.renew(&target(), fence).await.unwrap();
        }
        if number % 3 > 0 {
            lease.release(&target(), fence).await.unwrap();
        }
    }
    let names = names(&store).await;
    assert!(names.len() <= 3 * 4, "{names:?}");
    assert!(names.contains(&"lease/0000000030".to_owned()), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_when_its_time_is_over_and_not_before() {
    let store = memory();
    let (one, other) = (lease(&store), lease(&store));
    let first = one.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
    let begin = Instant::now();
    let takes_over = async {
        let fence = other.acquire(&target(), &holder("other"), LONG).await.unwrap();
        (fence, begin.elapsed())
    };
    let renews_once = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        one.renew(&target(), first).await.unwrap();
    };
    let ((second, after), ()) = tokio::join!(takes_over, renews_once);
    assert_eq!(second, Fence(2));
    // 15 s after the last renewal, as seen by looks that are up to a second apart.
    assert!((25..=27).contains(&after.as_secs()), "{after:?}");
    let error = one.renew(&target(), first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("run other of user"), "{error}");
    assert_eq!(other.holder(&target()).await.unwrap(), Some(holder("other")));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_takes_too_long_has_failed() {
    let inner = InMemory::new();
    let throttled = Arc::new(ThrottledStore::new(inner, ThrottleConfig::default()));
    let store = Arc::clone(&throttled) as Arc<dyn ObjectStore>;
    let lease = lease(&store);
    let fence = lease.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
    throttled.config_mut(|config| config.wait_put_per_call = Duration::from_secs(20));
    let begin = Instant::now();
    let error = lease.renew(&target(), fence).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable(), "the lease may well be ours");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    throttled.config_mut(|config| config.wait_put_per_call = Duration::from_secs(1));
    lease.renew(&target(), fence).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_be_read_still_holds() {
    let store = memory();
    let (one, other) = (lease(&store), lease(&store));
    let fence = one.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
    write(&store, "lease/0000000001", b"damaged".to_vec()).await;
    let error = other.acquire(&target(), &holder("other"), Wait::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("fence 1"), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("wait for 16 s")), "{error}");
    assert_eq!(other.holder(&target()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    one.renew(&target(), fence).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_objects_were_removed_is_lost() {
    let store = memory();
    let lease = lease(&store);
    let fence = lease.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
    delete(&store, "lease/0000000001").await;
    let error = lease.renew(&target(), fence).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

/// Someone who holds a lease renews it once, at `renewal` if at all, while another one waits for it,
/// and listings take 2 s. What became of the renewal, and when the other one had the lease.
async fn one_renewal(renewal: Option<Duration>) -> (Option<Result<()>>, Duration) {
    let slow = Duration::from_secs(2);
    let config =
        ThrottleConfig { wait_list_with_delimiter_per_call: slow, ..ThrottleConfig::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), config)) as Arc<dyn ObjectStore>;
    let (one, other) = (lease(&store), lease(&store));
    let first = one.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
    let begin = Instant::now();
    let takes_over = async {
        other.acquire(&target(), &holder("other"), LONG).await.unwrap();
        begin.elapsed()
    };
    let renews = async {
        tokio::time::sleep(renewal?).await;
        Some(one.renew(&target(), first).await)
    };
    let (after, renewed) = tokio::join!(takes_over, renews);
    (renewed, after)
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_up_to_the_last_moment() {
    // The taking is followed by one more listing.
    let (_, after) = one_renewal(None).await;
    let taken = after.checked_sub(Duration::from_secs(2)).unwrap();
    assert!(taken > Duration::from_secs(15), "{taken:?}");
    for early in 1..16 {
        let at = taken.checked_sub(Duration::from_millis(250 * early)).unwrap();
        let (renewed, after) = one_renewal(Some(at)).await;
        assert!(matches!(renewed, Some(Ok(()))), "{renewed:?} at {at:?}, taken at {taken:?}");
        assert!(after > at + Duration::from_secs(15), "renewed at {at:?}, lost at {after:?}");
        let at = taken + Duration::from_millis(250 * early);
        let (renewed, _) = one_renewal(Some(at)).await;
        let error = renewed.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "at {at:?}: {error}");
    }
}

/// Its number was used, given up and swept by others before it came to create it.
#[tokio::test(start_paused = true)]
async fn one_that_is_very_late_does_not_take_an_old_number() {
    let store = memory();
    let config =
        ThrottleConfig { wait_put_per_call: Duration::from_secs(10), ..ThrottleConfig::default() };
    let slow = Arc::new(ThrottledStore::new(Arc::clone(&store), config)) as Arc<dyn ObjectStore>;
    let late = lease(&slow);
    let others = async {
        for number in 1..=8 {
            let lease = lease(&store);
            let fence = lease.acquire(&target(), &holder("other"), Wait::No).await.unwrap();
            assert_eq!(fence, Fence(number));
            lease.release(&target(), fence).await.unwrap();
        }
        assert!(!names(&store).await.contains(&"lease/0000000001".to_owned()));
    };
    let (target, holder) = (target(), holder("late"));
    let (fence, ()) = tokio::join!(late.acquire(&target, &holder, Wait::No), others);
    assert_eq!(fence.unwrap(), Fence(9));
}
