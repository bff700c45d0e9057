//! The checks that a release itself declares.

use std::sync::Arc;

use ultrai_deploy_core::{
    error::Result,
    health::{Check, Timing},
    name::ServiceName,
    release::Release,
};

use crate::{
    backend::Backend,
    compose::model::{DEFAULT_INTERVAL, DEFAULT_RETRIES, DEFAULT_TIMEOUT, HealthCheck, HealthTest},
    config::Config,
    definition::Definition,
    engine::Events,
    probe::{Expect, Probe},
};

/// One check for each service.
pub(crate) fn declared(backend: &Backend, release: &Release) -> Result<Vec<Check>> {
    let definition = Definition::read(release)?;
    release.services.keys().map(|name| of(backend, &definition, name)).collect()
}

/// The check of one service.
pub(crate) fn of(
    backend: &Backend,
    definition: &Definition<'_>,
    name: &ServiceName,
) -> Result<Check> {
    let health = definition.service(name)?.healthcheck.as_ref();
    let (expect, timing) = if definition.completes(name) {
        (Expect::Complete, completion(&backend.config))
    } else {
        (Expect::Serve, timing(health, &backend.config))
    };
    let probe = Probe::shared(backend, expect);
    let check = Check::new(format!("{name} health"), Some(name.clone()), probe, timing);
    Ok(check.with_changes(Arc::new(Events::of(&backend.engine))))
}

fn completion(config: &Config) -> Timing {
    Timing { deadline: Some(config.completion_timeout), ..Timing::default() }
}

fn timing(health: Option<&HealthCheck>, config: &Config) -> Timing {
    match health.filter(|check| check.test != HealthTest::None) {
        Some(check) => Timing {
            interval: check.interval.unwrap_or(DEFAULT_INTERVAL),
            timeout: check.timeout.unwrap_or(DEFAULT_TIMEOUT),
            retries: check.retries.unwrap_or(DEFAULT_RETRIES),
            start_period: check.start_period.unwrap_or_default(),
            deadline: config.boot_deadline,
            ..Timing::default()
        },
        // The image may have a health check of its own: then it has to pass for so long.
        None => Timing {
            stability: config.stability,
            deadline: config.boot_deadline,
            ..Timing::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_declared_is_the_engine_s_default_or_a_stability_window() {
        let check = HealthCheck {
            test: HealthTest::Shell("true".into()),
            interval: Some(Duration::from_secs(10)),
            timeout: None,
            retries: None,
            start_period: None,
            start_interval: None,
        };
        let config = Config::default();
        let declared = timing(Some(&check), &config);
        assert_eq!(declared.boot_deadline(), Duration::from_mins(2));
        assert_eq!(declared.stability, Duration::ZERO);
        let off = HealthCheck { test: HealthTest::None, ..check };
        assert_eq!(timing(Some(&off), &config).stability, config.stability);
        assert_eq!(timing(None, &config).stability, config.stability);
    }
}
