//! A value that is replaced now and then, as a row of objects that are created once.
//!
//! The object with the highest number is the value. Who replaces it creates the next number, so of two
//! who do so at once one is told; a write that was delayed on its way never hides a newer one.

use bytes::Bytes;
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::keys::{Created, Keys};

/// Values that stay after they were replaced, for people and for who is just reading them.
const KEPT: u64 = 3;
/// How often a reader looks again whose value was replaced and removed meanwhile.
const ATTEMPTS: u32 = 8;

/// Objects `<directory>/<number>`.
#[derive(Debug)]
pub(crate) struct Register {
    keys: Keys,
    directory: &'static str,
}

impl Register {
    pub(crate) fn new(keys: &Keys, directory: &'static str) -> Self {
        Self { keys: keys.clone(), directory }
    }

    pub(crate) fn name(&self, number: u64) -> String {
        numbered(self.directory, number)
    }

    async fn numbers(&self, operation: &'static str) -> Result<Vec<u64>> {
        let (objects, _) = self.keys.list(self.directory, operation).await?;
        Ok(objects.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The number and the bytes of the value.
    pub(crate) async fn newest(&self, operation: &'static str) -> Result<Option<(u64, Bytes)>> {
        for _ in 0..ATTEMPTS {
            let Some(newest) = self.numbers(operation).await?.into_iter().max() else {
                return Ok(None);
            };
            if let Some(bytes) = self.keys.get(&self.name(newest), operation).await? {
                return Ok(Some((newest, bytes)));
            }
        }
        let message = format!("{} is replaced all the time", self.keys.describe(self.directory));
        Err(Error::new(ErrorKind::Unavailable, operation, message).without_effect())
    }

    /// Makes `bytes` the value that follows number `former`; durable on return.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another has replaced it meanwhile.
    pub(crate) async fn replace(
        &self,
        former: u64,
        bytes: Vec<u8>,
        operation: &'static str,
    ) -> Result<()> {
        let own = former + 1;
        let created = self.keys.create(&self.name(own), &bytes.into(), operation).await?;
        let numbers = self.numbers(operation).await?;
        if matches!(created, Created::Anothers(_)) || numbers.iter().any(|other| *other > own) {
            let what = self.keys.describe(&self.name(own));
            let message = format!("another driver has written {what} meanwhile");
            return Err(Error::new(ErrorKind::Conflict, operation, message)
                .with_advice("let one driver work on an environment at a time"));
        }
        let old: Vec<_> =
            numbers.into_iter().filter(|old| old + KEPT < own).map(|old| self.name(old)).collect();
        // What stays is removed by the next one.
        let _swept_later = self.keys.delete(&old, operation).await;
        Ok(())
    }
}

/// Numbers sort as text in listings.
pub(crate) fn numbered(directory: &str, number: u64) -> String {
    format!("{directory}/{number:010}")
}
