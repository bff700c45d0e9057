//! What makes the probes of deploy.toml's checks.

use std::{ffi::OsString, sync::Arc};

use ultrai_deploy_core::{Result, memory, secret::SecretSource, verification::ProbeSource};
use ultrai_deploy_http as http;
use ultrai_deploy_load::{self as load, k6::K6};
use ultrai_deploy_probe as probe;

/// What adds the kinds of a backend to those that every backend has.
pub(crate) type Backend<'a> = &'a dyn Fn(Arc<dyn ProbeSource>) -> Arc<dyn ProbeSource>;

/// Every kind but those of backends, and these by `backend`. `path` is where k6 is looked for.
pub(crate) fn source(
    secrets: &Arc<dyn SecretSource>,
    path: Option<OsString>,
    backend: Backend<'_>,
) -> Result<Arc<dyn ProbeSource>> {
    let client = http::Client::new(http::Config::default())?;
    let plain = http::Probes::new(client.clone()).with_secrets(Arc::clone(secrets));
    let mut loads = load::Probes::new(backend(Arc::new(plain))).with_secrets(Arc::clone(secrets));
    if let Some(path) = path {
        loads = loads.with_k6(K6::on_path(path));
    }
    // The parts of a combined one are made by all the others.
    let all = probe::Probes::new(client, Arc::new(loads)).with_secrets(Arc::clone(secrets));
    Ok(Arc::new(all))
}

/// For reading checks: no look is made with what it makes.
pub(crate) fn dry() -> Result<Arc<dyn ProbeSource>> {
    let none: Arc<dyn SecretSource> = Arc::new(memory::Secrets::default());
    source(&none, Some(OsString::new()), &|others| others)
}
