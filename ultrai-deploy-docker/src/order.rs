//! Work in dependency order: what does not depend on each other runs at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use ultrai_deploy_core::{
    Cancel,
    error::{Error, ErrorKind, Result},
    name::ServiceName,
};

/// For each piece of work what must be done before it.
pub(crate) type Dependencies = BTreeMap<ServiceName, BTreeSet<ServiceName>>;

/// The same work backwards: what was last comes first.
pub(crate) fn reversed(dependencies: &Dependencies) -> Dependencies {
    let mut reversed: Dependencies =
        dependencies.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
    for (name, needed) in dependencies {
        for needed in needed {
            if let Some(dependents) = reversed.get_mut(needed) {
                dependents.insert(name.clone());
            }
        }
    }
    reversed
}

/// Awaits all `work` side by side: an effect that has begun is not dropped when another fails.
///
/// # Errors
/// The first failure, once all are over.
pub(crate) async fn all(
    work: impl IntoIterator<Item = impl Future<Output = Result<()>>>,
) -> Result<()> {
    join_all(work).await.into_iter().collect()
}

/// Runs `work` for every service after those that it depends on, at most `parallel` at a time.
///
/// After a failure nothing new begins. What runs is asked to stop by the [`Cancel`] that it was
/// given, and awaited: an effect that has begun is not dropped half-way.
///
/// # Errors
/// The first failure of `work`; [`ErrorKind::Invalid`] for a cycle.
pub(crate) async fn run<F, Fut>(dependencies: &Dependencies, parallel: usize, work: F) -> Result<()>
where
    F: Fn(ServiceName, Cancel) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let stop = Cancel::new();
    let mut waiting: Vec<_> = dependencies.iter().collect();
    let mut done: BTreeSet<ServiceName> = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    let mut failure: Option<Error> = None;
    loop {
        if failure.is_none() {
            let (ready, blocked): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, needed)| {
                    needed
                        .iter()
                        .all(|needed| done.contains(needed) || !dependencies.contains_key(needed))
                });
            waiting = blocked;
            let mut ready = ready.into_iter();
            while running.len() < parallel.max(1)
                && let Some((name, _)) = ready.next()
            {
                let task = work(name.clone(), stop.clone());
                running.push(async move { (name, task.await) });
            }
            waiting.extend(ready);
        }
        match running.next().await {
            Some((name, Ok(()))) => {
                done.insert(name.clone());
            }
            Some((_, Err(error))) => {
                stop.cancel();
                failure.get_or_insert(error);
            }
            None => break,
        }
    }
    match (failure, waiting.first()) {
        (Some(error), _) => Err(error),
        (None, None) => Ok(()),
        (None, Some((name, _))) => Err(Error::new(
            ErrorKind::Invalid,
            "put services in order",
            format!("{name} and others depend on each other"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn dependencies(edges: &[(&str, &[&str])]) -> Dependencies {
        edges
            .iter()
            .map(|(of, needed)| (name(of), needed.iter().map(|needed| name(needed)).collect()))
            .collect()
    }

    async fn order(edges: &[(&str, &[&str])], parallel: usize) -> Vec<String> {
        let seen = Mutex::new(Vec::new());
        run(&dependencies(edges), parallel, |name, _| {
            let seen = &seen;
            async move {
                seen.lock().unwrap().push(format!("+{name}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                seen.lock().unwrap().push(format!("-{name}"));
                Ok(())
            }
        })
        .await
        .unwrap();
        seen.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_independent_runs_together() {
        let edges: &[(&str, &[&str])] = &[("web", &["api"]), ("api", &["db", "gone"]), ("db", &[])];
        assert_eq!(order(edges, 4).await, ["+db", "-db", "+api", "-api", "+web", "-web"]);
        assert_eq!(order(&[("a", &[]), ("b", &[])], 4).await[..2], ["+a", "+b"]);
        assert_eq!(order(&[("a", &[]), ("b", &[])], 1).await, ["+a", "-a", "+b", "-b"]);
    }

    #[tokio::test]
    async fn backwards_is_the_other_way_round() {
        let forwards = dependencies(&[("web", &["db"]), ("db", &[])]);
        assert_eq!(reversed(&forwards), dependencies(&[("web", &[]), ("db", &["web"])]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_stops_what_waits_and_begins_nothing_new() {
        let edges = dependencies(&[("a", &[]), ("b", &[]), ("c", &["b"])]);
        let error = run(&edges, 4, |name, stop| async move {
            match name.as_str() {
                "a" => Err(Error::new(ErrorKind::Unhealthy, "start a", "it is sick")),
                "b" => {
                    stop.cancelled().await;
                    Ok(())
                }
                _ => panic!("c must not begin"),
            }
        })
        .await
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unhealthy);
    }

    #[tokio::test]
    async fn a_cycle_is_an_error() {
        let edges = dependencies(&[("a", &["b"]), ("b", &["a"])]);
        let error = run(&edges, 4, |_, _| async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
