//! Names of containers: the one that they serve under, and those before and after.
//!
//! Labels cannot be changed after creation, names can: so a name tells what a container is now.

use ultrai_deploy_core::name::{ProjectName, RunId, ServiceName};

const STAGED: &str = "-new-";
const KEPT: &str = "-kept-";
/// Length of what [`RunId::short`] gives.
const SHORT: usize = 12;

/// What a container is now, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// It serves, or did before it stopped.
    Live,
    /// It was created by a run and does not serve yet.
    Staged(&'a str),
    /// It served before a run, and is kept by it.
    Kept(&'a str),
}

/// Reads a container's name.
pub(crate) fn place(name: &str) -> Place<'_> {
    if let Some(run) = suffix(name, STAGED) {
        Place::Staged(run)
    } else if let Some(run) = suffix(name, KEPT) {
        Place::Kept(run)
    } else {
        Place::Live
    }
}

/// The name that a container has or had while it served.
pub(crate) fn base(name: &str) -> &str {
    let mark = match place(name) {
        Place::Live => return name,
        Place::Staged(_) => STAGED,
        Place::Kept(_) => KEPT,
    };
    name.rsplit_once(mark).map_or(name, |(before, _)| before)
}

/// The name that compose gives the `number`th container of a service.
pub(crate) fn live(project: &ProjectName, service: &ServiceName, number: u32) -> String {
    format!("{project}-{service}-{number}")
}

/// The name of a container that is to be called `live` once it serves.
pub(crate) fn staged(live: &str, run: &RunId) -> String {
    format!("{live}{STAGED}{}", run.short())
}

/// The name of a container that was called `live` and is kept by `run`.
pub(crate) fn kept(live: &str, run: &RunId) -> String {
    format!("{live}{KEPT}{}", run.short())
}

/// The name of the container that keeps other state directories from a project.
pub(crate) fn guard(project: &ProjectName) -> String {
    format!("ultrai-guard-{project}")
}

/// A name as the engine tells it, without its slash.
pub(crate) fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

fn suffix<'a>(name: &'a str, mark: &str) -> Option<&'a str> {
    let (before, run) = name.rsplit_once(mark)?;
    let is_run = run.len() == SHORT && run.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_run && !before.is_empty()).then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_place() {
        let run = RunId::generate();
        let name = live(&ProjectName::new("shop").unwrap(), &ServiceName::new("web").unwrap(), 1);
        assert_eq!(name, "shop-web-1");
        assert_eq!(place(&name), Place::Live);
        assert_eq!(place(&staged(&name, &run)), Place::Staged(run.short()));
        assert_eq!(place(&kept(&name, &run)), Place::Kept(run.short()));
        assert_eq!(base(&kept(&name, &run)), name);
        assert_eq!(base(&name), name);
    }

    #[test]
    fn names_of_users_are_live() {
        for name in ["brand-new-", "brand-new-shoes", "kept-1", "-kept-0123456789ab"] {
            assert_eq!(place(name), Place::Live, "{name}");
        }
    }
}
