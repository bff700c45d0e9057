//! `[render]`, and what of it is different in an environment.

use std::collections::BTreeMap;

use ultrai_deploy_core::{Result, name::EnvironmentName};
use ultrai_deploy_render::{Config, model::OwnerId};

use super::{Access, Settings};
use crate::config::{
    Environment,
    backend::invalid,
    reader::{Field, Table},
};

/// A workspace there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct At {
    workspace: Option<OwnerId>,
}

impl At {
    fn take(table: &mut Table<'_>) -> Self {
        Self { workspace: table.take("workspace").and_then(|field| field.parse(workspace)) }
    }

    /// Reads `render` of an environment.
    pub(in crate::config) fn read(field: &Field<'_>) -> Self {
        let Some(mut table) = field.table() else { return Self::default() };
        let at = Self::take(&mut table);
        table.finish();
        at
    }
}

/// Reads `[render]`.
pub(in crate::config) fn read(
    field: Option<Field<'_>>,
    environments: &BTreeMap<EnvironmentName, Environment>,
) -> Settings<Config> {
    let (mut general, mut access) = (At::default(), Access::default());
    if let Some(mut table) = field.and_then(|field| field.table()) {
        general = At::take(&mut table);
        access = Access::take(&mut table);
        table.finish();
    }
    let platform = |environment: &Environment| {
        let workspace = environment.render.workspace.as_ref().or(general.workspace.as_ref());
        let mut config = Config { workspace: workspace.cloned(), ..Config::default() };
        config.pause = access.pause.unwrap_or(config.pause);
        config.lag = access.lag.unwrap_or(config.lag);
        config
    };
    let platforms =
        environments.iter().map(|(name, environment)| (name.clone(), platform(environment)));
    Settings { platforms: platforms.collect(), url: access.url }
}

fn workspace(text: &str) -> Result<OwnerId> {
    let is_id = ["tea-", "usr-"].iter().any(|kind| {
        text.strip_prefix(kind)
            .is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()))
    });
    if is_id {
        return Ok(text.into());
    }
    Err(invalid(format!("\"{text}\" is no id of a workspace of Render"))
        .with_advice("write the one in its settings: \"tea-…\", or \"usr-…\" for one person's"))
}
