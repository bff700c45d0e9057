//! Creating the containers of a release.

use std::{collections::BTreeMap, time::Duration};

use bollard::models::ContainerCreateBody;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Cancel,
    error::{Error, ErrorKind, Result},
    name::ServiceName,
};

use super::rollout::{Rollout, check, is_for};
use crate::{
    container::{Request, endpoints},
    definition::joined_service,
    engine::{ApiVersion, ignore_missing},
    names,
    snapshot::Container,
};

/// Longest time that creating a container takes an engine that is busy.
const ARRIVAL: Duration = Duration::from_secs(20);
/// Pause between looks for it.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(50);

/// The names that a new container has on its networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    /// Those of its service.
    Visible,
    /// Only one of its own, while an old container has those of the service.
    Hidden,
}

impl Rollout<'_> {
    /// Creates the containers of a service that are not there, under names of their own.
    ///
    /// `old` are those that they replace and whose anonymous volumes they take over.
    pub(super) async fn create(
        &self,
        stop: &Cancel,
        name: &ServiceName,
        visibility: Visibility,
        old: &[&Container],
    ) -> Result<()> {
        let service = self.definition.service(name)?;
        let existing = self.instances(name);
        for number in 1..=service.replicas() {
            check(stop)?;
            let id = if let Some((_, id)) = existing.iter().find(|(own, _)| *own == number) {
                id.clone()
            } else {
                let old = old.iter().find(|one| one.number == number).copied();
                Box::pin(self.create_one(name, number, visibility, old)).await?
            };
            self.connect_missing(name, number, &id, visibility).await?;
            self.note(name, number, id);
        }
        Ok(())
    }

    async fn create_one(
        &self,
        name: &ServiceName,
        number: u32,
        visibility: Visibility,
        old: Option<&Container>,
    ) -> Result<String> {
        let live = self.definition.live_name(name, number);
        let staged = names::staged(&live, self.cx.run());
        let image = self.image(name).await?;
        let joined = self.joined(name)?;
        let inherited = self.inherited(name, old).await?;
        let request = Request {
            definition: self.definition,
            name,
            number,
            key: self.cx.key(),
            step: self.step,
            environment: &self.cx.target().environment,
            api: self.api,
            image: &image,
            secrets: &self.secrets,
            files: &self.files,
            joined: &joined,
            inherited: &inherited,
            hidden_as: (visibility == Visibility::Hidden).then_some(staged.as_str()),
        };
        let body = request.create()?.body;
        let detail = json!({ "service": name, "image": image });
        let create = Box::pin(self.create_or_adopt(&staged, body));
        self.cx.effect("create", &staged, detail, create).await
    }

    /// Creates a container, or takes the one that a driver has asked for before it died. Its name
    /// is taken before it can be seen.
    async fn create_or_adopt(&self, name: &str, body: ContainerCreateBody) -> Result<String> {
        let give_up = Instant::now() + ARRIVAL;
        loop {
            let conflict = match self.backend.engine.create(name, body.clone()).await {
                Err(error) if error.kind() == ErrorKind::Conflict => error,
                created => return created,
            };
            if let Some(found) = self.find(name).await? {
                let is_own =
                    found.is_made_by(self.cx.run()) && is_for(&found, self.definition, self.step);
                return if is_own { Ok(found.id) } else { Err(conflict) };
            }
            if Instant::now() >= give_up {
                return Err(conflict);
            }
            tokio::time::sleep(ARRIVAL_PAUSE).await;
        }
    }

    /// Connects a container to those of its networks that it was not created on.
    async fn connect_missing(
        &self,
        name: &ServiceName,
        number: u32,
        id: &str,
        visibility: Visibility,
    ) -> Result<()> {
        let service = self.definition.service(name)?;
        // One network, or more than one where creating takes them all, is there from the start.
        if service.networks.len() < 2 || self.api >= ApiVersion::MANY_NETWORKS {
            return Ok(());
        }
        let Some(container) = self.find(id).await? else { return Ok(()) };
        let live = self.definition.live_name(name, number);
        let hidden = names::staged(&live, self.cx.run());
        let hidden = (visibility == Visibility::Hidden).then_some(hidden.as_str());
        for (network, endpoint) in endpoints(self.definition, name, service, number, hidden) {
            if !container.networks.contains_key(&network) {
                let connect = self.backend.engine.connect(&network, id, endpoint);
                let detail = json!({ "network": network });
                self.cx.effect("connect", &container.name, detail, connect).await?;
            }
        }
        Ok(())
    }

    /// What to call the image: its reference where that still means the sealed one, else its id.
    async fn image(&self, name: &ServiceName) -> Result<String> {
        let sealed = self.definition.release.services.get(name);
        let Some(image) = sealed.and_then(|service| service.image.as_ref()) else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "create a container",
                format!("release {} has no image of {name}", self.definition.release.id),
            )
            .without_effect());
        };
        let found = self.backend.engine.image(&image.reference).await;
        let found = ignore_missing(found.map(|found| found.id))?;
        let same = found.as_ref() == Some(&image.id);
        Ok(if same { image.reference.clone() } else { image.id.clone() })
    }

    fn joined(&self, name: &ServiceName) -> Result<BTreeMap<ServiceName, String>> {
        let Some(needed) = joined_service(self.definition.service(name)?) else {
            return Ok(BTreeMap::new());
        };
        let needed = ServiceName::new(needed)?;
        let first = self.instances(&needed).into_iter().next();
        Ok(first.map(|(_, id)| (needed, id)).into_iter().collect())
    }

    /// The anonymous volumes of `old` that the new container has a place for, as compose does it.
    async fn inherited(
        &self,
        name: &ServiceName,
        old: Option<&Container>,
    ) -> Result<BTreeMap<String, String>> {
        let Some(old) = old.filter(|old| !old.anonymous.is_empty()) else {
            return Ok(BTreeMap::new());
        };
        let service = self.definition.service(name)?;
        let image = self.image(name).await?;
        let declared = self.backend.engine.image(&image).await?.config;
        let declared = declared.and_then(|config| config.volumes).unwrap_or_default();
        let has_place = |target: &String| {
            declared.contains(target) || service.volumes.iter().any(|mount| mount.target == *target)
        };
        Ok(old
            .anonymous
            .iter()
            .filter(|(target, _)| has_place(target))
            .map(|(target, volume)| (target.clone(), volume.clone()))
            .collect())
    }
}
