//! How an API is reached where the usual way does not lead to it.

use std::fmt;

use reqwest::Certificate;
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::address::HttpUrl;

/// How an API is reached. The usual way is over TLS, trusting what the machine trusts; without TLS
/// only on this machine.
#[derive(Clone, Default)]
pub struct Connection {
    roots: Option<Vec<Certificate>>,
    is_clear_text_allowed: bool,
}

impl Connection {
    /// Trusts these authorities and no others: certificates in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none, or one that is none.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self> {
        let read = Certificate::from_pem_bundle(pem);
        let roots = read.map_err(|source| refused("one is broken").with_source(source))?;
        if roots.is_empty() {
            return Err(refused("there is none"));
        }
        self.roots = Some(roots);
        Ok(self)
    }

    /// Lets the credential go to another machine without TLS: for networks in which nobody listens.
    pub fn allowing_clear_text(mut self) -> Self {
        self.is_clear_text_allowed = true;
        self
    }

    /// Fails for a base that a token must not be sent to.
    pub(super) fn check(&self, base: &HttpUrl) -> Result<()> {
        if base.url().scheme() == "https" || base.is_loopback() || self.is_clear_text_allowed {
            return Ok(());
        }
        let message = format!("{base} would carry a token in clear text");
        Err(Error::new(ErrorKind::Invalid, "read the address of an API", message)
            .with_advice("write https://…; plain http is for 127.0.0.1, [::1] and localhost only")
            .without_effect())
    }

    pub(super) fn apply(
        &self,
        base: &HttpUrl,
        builder: reqwest::ClientBuilder,
    ) -> reqwest::ClientBuilder {
        match &self.roots {
            // A machine without trusted certificates can still talk to itself.
            _ if base.url().scheme() != "https" => builder.tls_certs_only([]),
            None => builder.https_only(true),
            Some(roots) => builder.https_only(true).tls_certs_only(roots.iter().cloned()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("roots", &self.roots.as_ref().map(Vec::len))
            .field("is_clear_text_allowed", &self.is_clear_text_allowed)
            .finish()
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "read the certificates of authorities", why)
        .with_advice("name a file with -----BEGIN CERTIFICATE----- in it")
        .without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let usual = Connection::default();
        for good in [
            "https://api.example.com/v1",
            "http://127.0.0.1:1",
            "http://[::1]:1/x",
            "http://localhost:1",
        ] {
            usual.check(&HttpUrl::parse(good).unwrap()).unwrap();
        }
        for bad in [
            "http://api.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
        ] {
            let base = HttpUrl::parse(bad).unwrap();
            assert!(usual.check(&base).is_err(), "{bad}");
            usual.clone().allowing_clear_text().check(&base).unwrap();
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for bad in ["", "no certificate", broken] {
            let error = Connection::default().trusting(bad.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{bad}: {error}");
        }
    }
}
