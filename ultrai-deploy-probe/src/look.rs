//! One look as a [`HealthProbe`]: secrets, time, and what is told of it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    health::{Endpoint, Health, HealthProbe},
    name::SecretName,
    redact::Redactor,
    secret::{Secret, SecretSource, Secrets},
    verification::CheckSpec,
};

use crate::finding::{Finding, said};

/// How one kind of server is looked at.
#[async_trait]
pub(crate) trait Look: fmt::Debug + Send + Sync + 'static {
    /// The secrets that it needs.
    fn secrets(&self) -> Vec<SecretName>;

    /// Looks once. It is dropped when its time is over; what it then waits for is what it said last.
    ///
    /// # Errors
    /// Only when it could not look.
    async fn look(
        &self,
        endpoint: &Endpoint,
        secrets: &Secrets,
        looking: &Looking,
    ) -> Result<Finding>;
}

/// A look that goes on: what it waits for, so that a late one can say it, and what must not be shown.
#[derive(Debug, Default)]
pub(crate) struct Looking {
    waits: Mutex<String>,
    redactor: Redactor,
}

impl Looking {
    /// From now on it waits for this: `Redis at 127.0.0.1:6379: no answer to PING`.
    pub(crate) fn waits(&self, what: impl Into<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What a server said, quoted. Secrets are cut out before it is shortened: the part of one that
    /// is left by a cut would not be found later.
    pub(crate) fn said(&self, bytes: &[u8]) -> String {
        said(self.redactor.text(&String::from_utf8_lossy(bytes)).as_bytes())
    }

    fn late(&self) -> String {
        let what = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if what.is_empty() { "no answer".to_owned() } else { what.clone() }
    }
}

/// A look as a probe.
#[derive(Debug)]
pub(crate) struct Probe {
    check: String,
    look: Box<dyn Look>,
    source: Option<Arc<dyn SecretSource>>,
    timeout: Duration,
}

impl Probe {
    pub(crate) fn new(
        check: &CheckSpec,
        look: Box<dyn Look>,
        source: Option<Arc<dyn SecretSource>>,
    ) -> Self {
        Self { check: check.name.clone(), look, source, timeout: check.timing.timeout }
    }

    async fn secrets(&self, cx: &Context) -> Result<Secrets> {
        let mut values = Secrets::new();
        for name in self.look.secrets() {
            let value = self.value(cx, &name).await?.ok_or_else(|| {
                let message = format!("secret {name} of check `{}` has no value", self.check);
                Error::new(ErrorKind::Invalid, "look at a check", message)
                    .with_advice("declare the secret, or name one that is declared")
                    .without_effect()
            })?;
            values.insert(name, value);
        }
        Ok(values)
    }

    async fn value(&self, cx: &Context, name: &SecretName) -> Result<Option<Secret>> {
        match (cx.secret(name), &self.source) {
            (Some(own), _) => Ok(Some(own.clone())),
            (None, Some(source)) => source.get(name).await,
            (None, None) => Ok(None),
        }
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let secrets = cx.bounded(self.secrets(cx)).await?;
        let redactor = Redactor::new(&secrets);
        let looking = Looking { redactor: redactor.clone(), ..Looking::default() };
        let limit = within(self.timeout);
        let look = self.look.look(endpoint, &secrets, &looking);
        let look = async { Ok(tokio::time::timeout(limit, look).await) };
        match cx.bounded(look).await? {
            Ok(found) => match found {
                Ok(finding) => Ok(finding.told(&self.check, &redactor)),
                Err(error) => Err(redactor.error(error)),
            },
            Err(_elapsed) => {
                let why = format!("{} within {limit:?}", looking.late());
                Ok(Finding::bad(why).told(&self.check, &redactor))
            }
        }
    }
}

/// A little less than the check's time, so that a late look ends by itself and says what it saw
/// before the engine cuts it off.
pub(crate) fn within(timeout: Duration) -> Duration {
    timeout.saturating_sub(Duration::from_millis(50)).max(timeout / 2)
}

/// The secret of this name, which [`Look::secrets`] named.
///
/// # Errors
/// [`ErrorKind::Unexpected`] when it did not.
pub(crate) fn value<'a>(secrets: &'a Secrets, name: &SecretName) -> Result<&'a str> {
    secrets.get(name).map(Secret::expose).ok_or_else(|| {
        let message = format!("secret {name} was not asked for");
        Error::new(ErrorKind::Unexpected, "look at a check", message).without_effect()
    })
}
