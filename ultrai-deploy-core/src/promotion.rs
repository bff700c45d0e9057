//! Promotion: what is proven in one environment goes to another one as it is, and nothing is built.
//!
//! The source's own history says what is proven there. Its images are pinned onto the spec of the
//! target, whose configuration and secrets are its own; no reference is looked up again, so it does
//! not matter where tags point by now. After sealing, the engine compares every image with the one
//! that was proven.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    current::Serving,
    error::{Error, ErrorKind, Result},
    history,
    journal::Kind,
    name::{EnvironmentName, RunId, ServiceName},
    pipeline::Pipeline,
    release::{Image, Release},
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};

const PROMOTE: &str = "promote the release";

/// A release that is proven in one environment, to be brought to another one.
#[derive(Clone, Debug)]
pub struct Promotion {
    from: EnvironmentName,
    run: RunId,
    release: Arc<Release>,
    /// Where the content of its files lies, by digest.
    files: BTreeMap<String, PathBuf>,
    /// What is told of the spec that it was pinned onto.
    news: Vec<String>,
}

impl Pipeline {
    /// What a promotion takes from this environment: the release of `version`, or the one that
    /// serves. It has to be proven: a run has brought it here and succeeded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not, naming the run that brought it, or nothing serves;
    /// [`ErrorKind::Unhealthy`] when the last run that brought it took it back.
    pub async fn promotion(&self, version: Option<&Version>) -> Result<Promotion> {
        let parts = &self.parts;
        let (journal, target) = (parts.journal.as_ref(), &parts.target);
        let id = if let Some(version) = version {
            match self.release_of_version(version).await {
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    let run = history::last_run(journal, |state| {
                        state.facts().is_some_and(|facts| facts.version.as_ref() == Some(version))
                    });
                    return Err(unproven(target, version, run.await?).with_source(error));
                }
                found => found?,
            }
        } else {
            let cx = self.look();
            match cx.bounded(parts.deployer.current(&cx)).await?.serving {
                Serving::Release(id) => id,
                Serving::Nothing => {
                    return Err(refused(format!("nothing serves in {target}"))
                        .with_advice("deploy it there first"));
                }
                Serving::Unmanaged(release) => {
                    return Err(unproven(target, &release.version, None));
                }
            }
        };
        let release = parts.releases.get(&id).await?;
        let Some(run) = history::proving_run(journal, &id).await? else {
            let run = history::last_run(journal, |state| state.release() == Some(&id)).await?;
            return Err(unproven(target, &release.version, run));
        };
        if let Some(bad) = self.refusal(&id).await? {
            let message =
                format!("{} failed since in run {}: {}", release.version, bad.run, bad.cause);
            return Err(Error::new(ErrorKind::Unhealthy, PROMOTE, message)
                .with_advice(format!(
                    "change what is wrong with it, and deploy it to {target} again"
                ))
                .without_effect());
        }
        let digests = release.services.values().flat_map(|service| service.files.values());
        let files =
            digests.filter_map(|digest| Some((digest.clone(), parts.releases.file_path(digest)?)));
        let files = files.collect();
        Ok(Promotion { from: target.environment.clone(), run, release, files, news: Vec::new() })
    }
}

impl Promotion {
    /// The environment that it comes from.
    pub fn from(&self) -> &EnvironmentName {
        &self.from
    }

    /// The run that has proven it there.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The release as it was sealed there.
    pub fn release(&self) -> &Release {
        &self.release
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::Promotion {
            from: self.from.clone(),
            release: self.release.id.clone(),
            run: self.run.clone(),
        }
    }

    /// The images that it brings.
    pub(crate) fn images(&self) -> impl Iterator<Item = (&ServiceName, &Image)> {
        let services = self.release.services.iter();
        services.filter_map(|(name, service)| Some((name, service.image.as_ref()?)))
    }

    /// Pins what was proven onto the spec of the target: the images, and of services without one
    /// the files.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming services that only one of both has, or that are an image in
    /// one of both only; [`ErrorKind::Unsupported`] when the content of files is not to be had.
    pub(crate) fn pin(&mut self, spec: &mut ReleaseSpec) -> Result<()> {
        let (from, proven) = (&self.from, &self.release);
        let is_code = |service: &ServiceSpec| service.image.is_some() || !service.files.is_empty();
        let mut only_there: BTreeSet<&ServiceName> = proven.services.keys().collect();
        let (mut foreign, mut other_kind) = (Vec::new(), Vec::new());
        for (name, service) in &mut spec.services {
            let Some(released) = proven.services.get(name) else {
                if is_code(service) {
                    foreign.push(name);
                } else {
                    self.news.push(format!("{name} is new: it was not proven in {from}"));
                }
                continue;
            };
            only_there.remove(name);
            match (&released.image, &mut service.image) {
                (Some(image), Some(wanted)) => wanted.exact = Some(image.clone()),
                (None, None) => {
                    let mut files = BTreeMap::new();
                    for (file, digest) in &released.files {
                        let path = self.files.get(digest).ok_or_else(|| {
                            let message = format!("file {file} of {name} has no path in {from}");
                            Error::new(ErrorKind::Unsupported, PROMOTE, message).without_effect()
                        })?;
                        files.insert(file.clone(), path.clone());
                    }
                    service.files = files;
                }
                _ => other_kind.push(name),
            }
        }
        let mut wrong = Vec::new();
        if !foreign.is_empty() {
            wrong.push(format!("{from} has no {}", list(&foreign)));
        }
        if !only_there.is_empty() {
            wrong.push(format!("only {from} has {}", list(&only_there)));
        }
        if !other_kind.is_empty() {
            wrong.push(format!("only one of both runs an image for {}", list(&other_kind)));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("the services are not the same: {}", wrong.join("; "));
        Err(different(message).with_advice(format!("deploy the same services to {from} first")))
    }

    /// What to tell: services that are new, files by which the release was described that have
    /// changed since, and other mounted files.
    pub(crate) fn differences(
        &self,
        sources: &BTreeMap<String, String>,
        files: &BTreeMap<ServiceName, BTreeMap<String, String>>,
    ) -> Vec<String> {
        let mut told = self.news.clone();
        let (from, proven) = (&self.from, &self.release);
        let names: BTreeSet<&String> = sources.keys().chain(proven.sources.keys()).collect();
        let changed =
            names.into_iter().filter(|name| sources.get(*name) != proven.sources.get(*name));
        told.extend(changed.map(|name| {
            format!("warning: {name} is not as it was when the release was sealed in {from}")
        }));
        for (name, released) in &proven.services {
            let none = BTreeMap::new();
            let own = files.get(name).unwrap_or(&none);
            let names: BTreeSet<&String> = own.keys().chain(released.files.keys()).collect();
            let other =
                names.into_iter().filter(|file| own.get(*file) != released.files.get(*file));
            told.extend(other.map(|file| {
                format!("warning: file {file} of {name} is not the one that was proven in {from}")
            }));
        }
        told
    }

    /// Proves that a sealed release has what was proven.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] naming the service that has not.
    pub(crate) fn prove(&self, sealed: &Release) -> Result<()> {
        for (name, released) in &self.release.services {
            let own = sealed.services.get(name);
            let same = match (&released.image, own.and_then(|own| own.image.as_ref())) {
                (Some(proven), Some(image)) => proven.is(image),
                (None, None) => own.is_some_and(|own| own.files == released.files),
                _ => false,
            };
            if !same {
                let what = |image: Option<&Image>| match image {
                    Some(image) => image.digest.clone().unwrap_or_else(|| image.id.clone()),
                    None => "other files".to_owned(),
                };
                let (own, proven) =
                    (what(own.and_then(|own| own.image.as_ref())), what(released.image.as_ref()));
                let message = format!("{name} would run {own}, and {proven} was proven");
                return Err(different(message));
            }
        }
        Ok(())
    }
}

impl Image {
    /// Whether both are the very same: by their ids, or by the digests of a registry.
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id || (self.digest.is_some() && self.digest == other.digest)
    }
}

/// An image of a promotion that the target cannot get.
pub(crate) fn unobtainable(promotion: &Promotion, name: &ServiceName, image: &Image) -> Error {
    let Image { reference, id, digest } = image;
    let message = format!("image {reference} of {name} ({id}) is not to be had here");
    let advice = match digest {
        Some(_) => format!("its registry has it no more: deploy it to {} again", promotion.from),
        None => format!(
            "no registry has it: write `registry` into deploy.toml and deploy it to {} again, or \
             `docker load` it here",
            promotion.from
        ),
    };
    Error::new(ErrorKind::NotFound, PROMOTE, message).with_advice(advice).without_effect()
}

fn unproven(target: &impl Display, version: &Version, run: Option<(RunId, String)>) -> Error {
    let message = format!("{version} is not proven in {target}");
    let message = match run {
        Some((run, how)) => format!("{message}: run {run} is {how}"),
        None => format!("{message}: no run has brought it"),
    };
    refused(message).with_advice("only what a run has proven is promoted: deploy it there first")
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Invalid, PROMOTE, message).without_effect()
}

fn different(message: String) -> Error {
    Error::new(ErrorKind::Conflict, PROMOTE, message).without_effect()
}

fn list<'a>(names: impl IntoIterator<Item = &'a &'a ServiceName>) -> String {
    names.into_iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}
