//! What a deploy would change, found out without taking the lease and without changing anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    DeployRequest, Parts, Pipeline, ReadinessPolicy, Unfinished,
    seal::named,
    version_rules::{refuse_downgrade, refuse_pre_release},
};
use crate::{
    context::Context,
    current::{Current, Serving},
    error::{ErrorKind, Result},
    history,
    name::ServiceName,
    plan::{Action, Plan},
    preview::{
        self, Basis, ImageChange, NewImage, Preview, RollbackPoint, SavedPlan, Secrecy,
        ServicePreview, UNKNOWN_IMAGE,
    },
    redact::Redactor,
    release::{Image, Release, Seal},
    secret::Secrets,
    spec::{ImageSpec, PullPolicy, ReleaseSpec},
    stage::Stage,
    task::TaskOutput,
};

impl Pipeline {
    /// What [`deploy`](Pipeline::deploy) with this request would change.
    ///
    /// Changes nothing: no lease is taken, nothing is built, pulled or stored, but for the key of
    /// the environment's fingerprints, which is made where there is none. An image that the deploy
    /// builds is not known then; when the request leaves [`Stage::Build`] out, the one that is there
    /// is looked up in place of it.
    ///
    /// # Errors
    /// What the deploy would be refused for before it builds: as the platform's
    /// [`preflight`](crate::Deployer::preflight), [`ErrorKind::Invalid`] for secrets that no
    /// source has or files that are missing, and [`ErrorKind::Refused`] for a version that is too
    /// low, or a pre-release.
    pub async fn plan(&self, cx: &Context, request: &DeployRequest) -> Result<Preview> {
        let found = self.parts.find_secrets(cx, &request.spec).await?;
        let mut redactor = Redactor::new(&found.secrets);
        let made = async {
            let secrets = found.all()?;
            self.make_preview(cx, request, &secrets, &mut redactor).await
        };
        let made = Box::pin(made).await;
        made.map_err(|error| redactor.error(error))
    }

    async fn make_preview(
        &self,
        cx: &Context,
        request: &DeployRequest,
        secrets: &Secrets,
        redactor: &mut Redactor,
    ) -> Result<Preview> {
        let (parts, spec) = (&self.parts, &request.spec);
        refuse_pre_release(&parts.policy, request)?;
        parts.check_spec(spec)?;
        cx.bounded(parts.deployer.preflight(cx, spec)).await?;
        let unfinished = self.unfinished().await?;
        let now = parts.clock.now();
        let held =
            unfinished.as_ref().filter(|found| found.held_until().is_some_and(|until| now < until));
        let skip_build = request.skips.iter().any(|skip| skip.stage == Stage::Build);
        let images = parts.expected_images(cx, spec, skip_build).await?;
        let release = Release::seal(spec, &parts.expected_seal(cx, spec, secrets, &images).await?)?;

        let current = cx.bounded(parts.deployer.current(cx)).await?;
        let baseline = parts.baseline(&current, redactor).await?;
        let mut plan = parts.deployer.plan(&current, &release)?;
        // What is held is no place to go back to, and is not left as it is either.
        plan.unchanged &= held.is_none();
        let back = match held {
            Some(held) => parts.before_held(held, redactor).await?,
            None => baseline.clone(),
        };
        let ledger = parts.releases.migrations().await?;
        let before = back.as_ref().map(|(release, _)| release.as_ref());
        let readiness = match parts.policy.readiness {
            ReadinessPolicy::Off => None,
            _ => Some(parts.readiness(cx, spec, before, &ledger).await?),
        };
        let readiness = readiness.map(|mut readiness| {
            redactor.readiness(&mut readiness);
            readiness
        });
        let blocked = parts.policy.readiness == ReadinessPolicy::Block
            && readiness.as_ref().is_some_and(|readiness| !readiness.is_ready());
        plan.add_migrations(&ledger.pending(&release.migrations)?);
        refuse_downgrade(request, before)?;
        plan.from = back.as_ref().map(|(release, _)| release.id.clone());
        for (name, image) in &images {
            let Some(change) = plan.services.get_mut(name) else { continue };
            if matches!(change.action, Action::StartFirst | Action::StopFirst) {
                let why = match image {
                    NewImage::Known(_) => continue,
                    NewImage::Built { .. } => "its image is built anew",
                    NewImage::Pulled { .. } => "its image is pulled",
                    NewImage::Pushed { .. } => "its image is pushed",
                };
                why.clone_into(&mut change.reason);
            }
        }
        redactor.plan(&mut plan);
        let unknown: BTreeSet<ServiceName> = images
            .iter()
            .filter(|(_, image)| image.is_unknown())
            .map(|(name, _)| name.clone())
            .collect();
        let (serving, running) = preview::marks(&current);
        let basis = Basis {
            target: parts.target.clone(),
            release: release.clone(),
            unknown: unknown.clone(),
            skip_build,
            baseline: serving,
            running,
            plan: plan.clone(),
        };
        let scene =
            Scene { current: &current, baseline: baseline.as_ref(), release: &release, images };
        Ok(Preview {
            target: parts.target.clone(),
            version: release.version.clone(),
            release: unknown.is_empty().then(|| release.id.clone()),
            unchanged: plan.unchanged,
            services: scene.services(&plan, redactor),
            shared: scene.shared(redactor),
            verification: scene.verification(),
            downtime: plan.with_action(Action::StopFirst).cloned().collect(),
            resources: plan.resources,
            not_undoable: plan.not_undoable,
            readiness,
            blocked,
            rollback_point: back.map(|(release, proven)| RollbackPoint {
                release: release.id.clone(),
                version: release.version.clone(),
                proven,
            }),
            unfinished: unfinished.map(|found| found.run),
            saved: SavedPlan::new(basis, parts.clock.now()),
        })
    }
}

impl Parts {
    /// The images of a spec as far as they are known without building or pulling one.
    async fn expected_images(
        &self,
        cx: &Context,
        spec: &ReleaseSpec,
        skip_build: bool,
    ) -> Result<BTreeMap<ServiceName, NewImage>> {
        let mut expected = BTreeMap::new();
        let Some(images) = &self.images else { return Ok(expected) };
        let all =
            || spec.services.iter().filter_map(|(name, one)| Some((name, one.image.as_ref()?)));
        let built: BTreeSet<&String> = all()
            .filter(|(_, image)| image.build.is_some() && image.exact.is_none() && !skip_build)
            .map(|(_, image)| &image.reference)
            .collect();
        for (name, wanted) in all() {
            let reference = wanted.reference.clone();
            let image = if let Some(exact) = &wanted.exact {
                NewImage::Known(exact.clone())
            } else if built.contains(&reference) {
                NewImage::Built { reference }
            } else if wanted.build.is_none() && wanted.pull == PullPolicy::Always {
                NewImage::Pulled { reference }
            } else {
                let here = ImageSpec { pull: PullPolicy::Never, ..wanted.clone() };
                match cx.bounded(images.resolve(cx, &here, &Silence)).await {
                    // Its registry is to answer with a digest first.
                    Ok(image) if wanted.push.is_some() && image.digest.is_none() => {
                        NewImage::Pushed { reference }
                    }
                    Ok(image) => NewImage::Known(image),
                    Err(error)
                        if error.kind() == ErrorKind::NotFound
                            && wanted.build.is_none()
                            && wanted.pull == PullPolicy::Missing =>
                    {
                        NewImage::Pulled { reference }
                    }
                    Err(error) => return Err(error),
                }
            };
            expected.insert(name.clone(), image);
        }
        Ok(expected)
    }

    async fn expected_seal(
        &self,
        cx: &Context,
        spec: &ReleaseSpec,
        secrets: &Secrets,
        images: &BTreeMap<ServiceName, NewImage>,
    ) -> Result<Seal> {
        let mut seal = Seal { secrets: self.fingerprints(secrets).await?, ..Seal::default() };
        for (name, service) in &spec.services {
            if !service.files.is_empty() {
                cx.check()?;
                let digests = self.releases.file_digests(&service.files).await?;
                seal.files.insert(name.clone(), digests);
            }
        }
        seal.sources = self.releases.file_digests(&named(&spec.sources)).await?;
        seal.images = images.iter().map(|(name, image)| (name.clone(), image.sealed())).collect();
        Ok(seal)
    }

    /// The release that serves and whether it was proven. Its secrets are not to be shown either.
    async fn baseline(
        &self,
        current: &Current,
        redactor: &mut Redactor,
    ) -> Result<Option<(Arc<Release>, bool)>> {
        Ok(match &current.serving {
            Serving::Nothing => None,
            Serving::Release(id) => {
                redactor.extend(Redactor::new(&self.releases.secrets(id).await?));
                let proven = history::is_proven(self.journal.as_ref(), id).await?;
                Some((self.releases.get(id).await?, proven))
            }
            Serving::Unmanaged(release) => Some((Arc::new(Release::clone(release)), false)),
        })
    }
}

impl Parts {
    /// What served before a held run, which a deploy that takes its place goes back to.
    async fn before_held(
        &self,
        held: &Unfinished,
        redactor: &mut Redactor,
    ) -> Result<Option<(Arc<Release>, bool)>> {
        let Some(before) = held.state.baseline() else { return Ok(None) };
        let Some(id) = &before.release else { return Ok(None) };
        redactor.extend(Redactor::new(&self.releases.secrets(id).await?));
        Ok(Some((self.releases.get(id).await?, before.proven)))
    }
}

impl NewImage {
    fn is_unknown(&self) -> bool {
        !matches!(self, Self::Known(_))
    }

    /// What stands for it in a release that is not sealed yet.
    fn sealed(&self) -> Image {
        match self {
            Self::Known(image) => image.clone(),
            Self::Built { reference } | Self::Pulled { reference } | Self::Pushed { reference } => {
                Image { reference: reference.clone(), id: UNKNOWN_IMAGE.to_owned(), digest: None }
            }
        }
    }
}

/// What is compared.
struct Scene<'a> {
    current: &'a Current,
    baseline: Option<&'a (Arc<Release>, bool)>,
    release: &'a Release,
    images: BTreeMap<ServiceName, NewImage>,
}

impl Scene<'_> {
    fn old(&self) -> Option<&Release> {
        self.baseline.map(|(release, _)| release.as_ref())
    }

    fn secrecy<'b>(&'b self, redactor: &'b Redactor) -> Secrecy<'b> {
        let releases: Vec<&Release> = self.old().into_iter().chain([self.release]).collect();
        Secrecy::new(&releases, redactor)
    }

    fn services(&self, plan: &Plan, redactor: &Redactor) -> BTreeMap<ServiceName, ServicePreview> {
        let secrecy = self.secrecy(redactor);
        let preview = |name: &ServiceName| {
            let old = self.old().and_then(|old| Some((old.origin, old.services.get(name)?)));
            let new = self.release.services.get(name);
            let configuration = match (old, new) {
                (Some(old), Some(new)) => preview::of_service(old, new, &secrecy),
                _ => Vec::new(),
            };
            (self.image(name), configuration)
        };
        plan.services
            .iter()
            .map(|(name, change)| {
                let (image, configuration) = preview(name);
                (name.clone(), ServicePreview { change: change.clone(), image, configuration })
            })
            .collect()
    }

    /// The image of a service, where it changes or is not known.
    fn image(&self, name: &ServiceName) -> Option<ImageChange> {
        let new = self.images.get(name)?;
        let runs = self.current.services.get(name).and_then(|running| running.image.as_ref());
        let stored = self.old().and_then(|old| old.services.get(name)?.image.as_ref());
        let old = runs.or(stored);
        if let (NewImage::Known(new), Some(old)) = (new, old)
            && new.id == old.id
        {
            return None;
        }
        Some(ImageChange { old: old.cloned(), new: new.clone() })
    }

    fn shared(&self, redactor: &Redactor) -> Vec<preview::KeyChange> {
        let old = self.old().filter(|old| old.origin == crate::release::Origin::Sealed);
        old.map_or_else(Vec::new, |old| {
            preview::of_values(&old.resources, &self.release.resources, &self.secrecy(redactor))
        })
    }

    fn verification(&self) -> Vec<preview::KeyChange> {
        self.old().map_or_else(Vec::new, |old| preview::of_verification(old, self.release))
    }
}

/// Nothing is pulled or built, so there is nothing to hear.
struct Silence;

impl TaskOutput for Silence {
    fn line(&self, _line: &str) {}
}
