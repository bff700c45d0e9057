//! Removing what no backup needs.

use std::collections::HashSet;

use ultrai_deploy_core::{
    error::{Chain, Error, ErrorKind, Result},
    name::Target,
};

use super::Keeper;

/// Removes packs that no backup needs. As long as there is a backup that cannot be read, nobody knows
/// what it needs, and nothing is removed.
pub(super) async fn sweep(keeper: &Keeper, operation: &'static str, target: &Target) -> Result<()> {
    let place = &keeper.place;
    // Before the manifests, so that a pack is never removed because its manifest came later.
    let packs = place.list(operation, &place.packs()).await?;
    let marks = place.list(operation, &place.marks()).await?;
    let needed = match needed(keeper, operation, target).await {
        Ok(needed) => needed,
        Err(error) if is_unreadable(&error) => {
            tracing::warn!(error = %Chain(&error), "no pack is removed");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for pack in packs.iter().filter(|pack| !needed.contains(&pack.name)) {
        place.remove(operation, &place.packs().join(pack.name.as_str())).await?;
    }
    for mark in marks.iter().filter(|mark| !needed.contains(&mark.name)) {
        place.remove(operation, &place.marks().join(mark.name.as_str())).await?;
    }
    Ok(())
}

async fn needed(
    keeper: &Keeper,
    operation: &'static str,
    target: &Target,
) -> Result<HashSet<String>> {
    let mut needed = HashSet::new();
    for id in keeper.place.ids(operation).await? {
        let manifest = match keeper.manifest(operation, target, &id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        let table = &manifest.head.packs;
        needed.insert(table.name.to_string());
        let packs = keeper.table(operation, &id, table).await?;
        needed.extend(packs.iter().map(|pack| pack.name.to_string()));
    }
    Ok(needed)
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)
}
