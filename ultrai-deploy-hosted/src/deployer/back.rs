//! What there is to set when a service goes back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    Result,
    deployer::Work,
    name::ServiceName,
    secret::{Fingerprint, Secret, Secrets},
};

use super::keeping::Kept;
use crate::{
    definition::Definition,
    kept::{self, Kind},
    platform::{Change, Setting},
    snapshot::Before,
};

/// What there is for a service to go back.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) before: &'a Before,
    /// What there was when the way back began.
    pub(super) began: Option<&'a Before>,
    /// Those of the release that is gone back to.
    pub(super) secrets: &'a Secrets,
    pub(super) kept: &'a Kept,
}

/// What a service goes back to.
pub(super) struct Back<'a> {
    pub(super) definition: Definition,
    /// What the run brought, and those whose place it took.
    pub(super) formers: Vec<Definition>,
    pub(super) scene: Scene<'a>,
}

impl<'a> Back<'a> {
    pub(super) fn new(
        work: &Work<'_>,
        name: &ServiceName,
        formers: Vec<Definition>,
        scene: &Scene<'a>,
    ) -> Result<Self> {
        let of_target = work.to.and_then(|to| to.services.get(name));
        let definition = match of_target {
            Some(service) => Definition::read(name, &service.config)?,
            None => Definition::default(),
        };
        Ok(Self { definition, formers, scene: *scene })
    }

    /// Whether the run may have left a page in the place of the service.
    pub(super) fn ends_maintenance(&self) -> bool {
        self.formers.iter().any(|former| former.maintenance)
    }

    /// What the release has is set; what else the run has touched is as it was before.
    pub(super) fn change(&self, kind: Kind, now: &BTreeMap<String, Secret>) -> Result<Change> {
        let Scene { before, secrets, kept, .. } = self.scene;
        let mut change = self.definition.change(kind, now, &[], secrets)?;
        for name in self.touched(kind) {
            let (is, was) = (now.get(name), before.of_kind(kind).get(name));
            match was {
                // It was there: with another value it may still be of use.
                None if kept.was_sealed(&before.slot, name)? => {}
                None if is.is_some() => change.remove.push(name.clone()),
                Some(was) if is.map(|is| kept.print.of(is)).as_ref() != Some(was) => {
                    let value = kept.value(&before.slot, kind.as_str(), name, was)?;
                    change.set.extend(value.map(|value| (name.clone(), value.clone())));
                }
                _ => {}
            }
        }
        Ok(change)
    }

    /// The variables whose former values nobody knows.
    pub(super) fn lost(&self, now: &BTreeMap<String, Secret>) -> Vec<&str> {
        let Scene { before, kept, .. } = self.scene;
        let is_lost = |name: &&String| {
            before.variables.get(*name).is_some_and(|was| {
                let is = now.get(*name).map(|is| kept.print.of(is));
                let value = kept.value(&before.slot, Kind::Variable.as_str(), name, was);
                is.as_ref() != Some(was) && !matches!(value, Ok(Some(_)))
            })
        };
        self.touched(Kind::Variable).into_iter().filter(is_lost).map(String::as_str).collect()
    }

    /// The variables that may have been overwritten while nobody could read them.
    pub(super) fn sealed(&self) -> Result<Vec<&str>> {
        let Scene { before, kept, .. } = self.scene;
        let mut found = Vec::new();
        for name in self.touched(Kind::Variable) {
            if kept.was_sealed(&before.slot, name)? {
                found.push(name.as_str());
            }
        }
        Ok(found)
    }

    /// What a setting was; nothing where nobody knows it any more.
    pub(super) fn setting(&self, setting: Setting, was: &Fingerprint) -> Result<Option<String>> {
        let Scene { before, kept: known, .. } = self.scene;
        let of_target = self.definition.settings.get(&setting).cloned().map(Secret::new);
        let value = match of_target.filter(|value| known.print.of(value) == *was) {
            None => known.value(&before.slot, kept::SETTING, setting.as_str(), was)?.cloned(),
            value => value,
        };
        Ok(value.map(|value| value.expose().to_owned()))
    }

    /// The names that the run has to do with and the release that is gone back to has not.
    fn touched(&self, kind: Kind) -> BTreeSet<&String> {
        let own: BTreeSet<_> = self.definition.names(kind).collect();
        let names = self.formers.iter().flat_map(|former| former.names(kind));
        names.filter(|name| !own.contains(name)).collect()
    }

    /// Those that no release has anything to do with, that are others than when the way back began,
    /// and were read before it: now, or by a process that died.
    pub(super) fn changed(
        &self,
        former: &BTreeMap<String, Secret>,
        now: &BTreeMap<String, Secret>,
    ) -> Result<Vec<(String, Secret)>> {
        let Scene { before, began, kept, .. } = self.scene;
        let mut found = Vec::new();
        let Some(began) = began else { return Ok(found) };
        for (name, was) in began.variables.iter().filter(|(name, _)| !self.names().contains(name)) {
            let is_it = |value: &&Secret| kept.print.of(value) == *was;
            if now.get(name).as_ref().is_some_and(is_it) {
                continue;
            }
            let value = match former.get(name).filter(is_it) {
                None => kept.value(&before.slot, Kind::Variable.as_str(), name, was)?,
                value => value,
            };
            found.extend(value.map(|value| (name.clone(), value.clone())));
        }
        Ok(found)
    }

    /// The variables that a release has to do with.
    fn names(&self) -> BTreeSet<&String> {
        let formers = self.formers.iter().flat_map(|former| former.names(Kind::Variable));
        self.definition.names(Kind::Variable).chain(formers).collect()
    }

    /// Those of `variables` that no release has anything to do with.
    pub(super) fn others<'b>(
        &'b self,
        variables: &'b BTreeMap<String, Secret>,
    ) -> impl Iterator<Item = (&'b String, &'b Secret)> {
        let named = self.names();
        variables.iter().filter(move |(name, _)| !named.contains(name))
    }
}
