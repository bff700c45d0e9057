//! Where services are: each has a slot of its own, and stays there.

use std::collections::BTreeMap;

use ultrai_deploy_core::{Context, Error, ErrorKind, Result, name::ServiceName};

use super::Deployer;
use crate::definition::Definition;

impl Deployer {
    /// Fails unless each service is to be where it has been: what is in another slot would run on,
    /// and there would be no way back to it.
    pub(super) async fn stays<'a>(
        &self,
        cx: &Context,
        wanted: impl Iterator<Item = (&'a ServiceName, Definition)> + Send,
    ) -> Result<()> {
        let marked = self.marked().await?;
        let names = self.names(marked.as_deref())?;
        let mut taken = BTreeMap::new();
        for (name, definition) in wanted {
            let slot = self.platform.find(cx, definition.slot(name)).await.map_err(is_wrong)?;
            if let Some(other) = taken.insert(slot.id.clone(), name) {
                let message = format!("{other} and {name} have the same place, {}", slot.name);
                return Err(Error::new(ErrorKind::Invalid, "find a service", message)
                    .with_advice("name a place of its own for each of them")
                    .without_effect());
            }
            let of_marked = marked.as_deref().and_then(|release| release.services.get(name));
            let of_marked =
                of_marked.map(|service| Definition::read(name, &service.config)).transpose()?;
            let of_marked = of_marked.as_ref().map(|one| one.slot(name));
            for known in of_marked.into_iter().chain(names.get(name).map(String::as_str)) {
                let former = match self.platform.find(cx, known).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    former => former?,
                };
                if former.id != slot.id {
                    let message =
                        format!("{name} is in {}, and shall go to {}", former.name, slot.name);
                    return Err(Error::new(ErrorKind::Invalid, "find a service", message)
                        .with_advice(
                            "give the service in the new place another name: the old one is \
                             suspended then",
                        )
                        .without_effect());
                }
            }
        }
        Ok(())
    }
}

/// Whoever names a place that is not there has to name another one.
pub(super) fn is_wrong(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    let wrong = Error::new(ErrorKind::Invalid, "find a service", error.message());
    match error.advice() {
        Some(advice) => wrong.with_advice(advice),
        None => wrong,
    }
    .without_effect()
}
