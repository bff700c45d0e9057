//! A stand-in for encryption: nothing can be read by eye, and what is of another key is noticed.

use std::sync::Arc;

use ultrai_deploy_core::{Error, ErrorKind, Result};
use ultrai_deploy_store::Sealing;

#[derive(Debug)]
pub(crate) struct Mask(u8);

impl Mask {
    pub(crate) fn sealing(key: u8) -> Arc<dyn Sealing> {
        Arc::new(Self(key))
    }
}

impl Sealing for Mask {
    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let masked = plain.iter().map(|byte| byte ^ self.0);
        Ok(std::iter::once(self.0).chain(masked).collect())
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        match sealed.split_first() {
            Some((key, masked)) if *key == self.0 => {
                Ok(masked.iter().map(|byte| byte ^ self.0).collect())
            }
            _ => {
                let message = "it was encrypted for another key";
                Err(Error::new(ErrorKind::Denied, "decrypt", message).without_effect())
            }
        }
    }
}
