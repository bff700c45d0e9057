//! Which certificates are trusted, and by what cryptography.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::CertificateDer};
use tokio::sync::OnceCell;
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// The authorities that are trusted: those of the machine, read at the first look that needs them,
/// or given ones. Clones share them.
#[derive(Clone)]
pub(crate) struct Trust {
    roots: Arc<OnceCell<Arc<RootCertStore>>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// The machine's.
    pub(crate) fn of_system() -> Self {
        // A process default is the program's to set, so the provider is named each time.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { roots: Arc::default(), provider }
    }

    /// These, in DER, and no others.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one is no certificate.
    pub(crate) fn only(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(CertificateDer::from(certificate)).map_err(|source| {
                Error::new(ErrorKind::Invalid, "trust a certificate", "it is none in DER")
                    .without_effect()
                    .with_source(source)
            })?;
        }
        let roots = Arc::new(OnceCell::new_with(Some(Arc::new(roots))));
        Ok(Self { roots, ..Self::of_system() })
    }

    /// The authorities.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the machine trusts none.
    pub(crate) async fn roots(&self) -> Result<Arc<RootCertStore>> {
        self.roots.get_or_try_init(of_machine).await.map(Arc::clone)
    }

    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// What a client needs that refuses servers whose certificates are not trusted.
    ///
    /// # Errors
    /// As [`Trust::roots`].
    pub(crate) async fn strict(&self) -> Result<Arc<ClientConfig>> {
        let config = ClientConfig::builder_with_provider(self.provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.roots().await?)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.roots.get().map(|roots| roots.len());
        f.debug_struct("Trust").field("roots", &count).finish_non_exhaustive()
    }
}

async fn of_machine() -> Result<Arc<RootCertStore>> {
    let none = || {
        Error::new(ErrorKind::Unsupported, "use TLS", "this machine trusts no certificates")
            .with_advice("install the system's CA certificates (package ca-certificates)")
            .without_effect()
    };
    // It reads files.
    let read = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let found = read.await.map_err(|source| none().with_source(source))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(match found.errors.into_iter().next() {
            Some(source) => none().with_source(source),
            None => none(),
        });
    }
    Ok(Arc::new(roots))
}

pub(crate) fn unusable(source: rustls::Error) -> Error {
    Error::new(ErrorKind::Unsupported, "use TLS", "its settings were refused")
        .without_effect()
        .with_source(source)
}
