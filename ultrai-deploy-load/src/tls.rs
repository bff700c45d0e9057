//! TLS as the rest of the program does it: aws-lc-rs, and the trust of the platform.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// A connector that speaks HTTP/1.1.
pub(crate) fn connector() -> Result<TlsConnector> {
    let unusable = |source: rustls::Error| {
        let message = "this machine trusts no certificates, or its TLS cannot be used";
        Error::new(ErrorKind::Unsupported, "prepare TLS", message)
            .with_advice("install the system's CA certificates (package ca-certificates)")
            .without_effect()
            .with_source(source)
    };
    // The provider is named: a process that has several has no default.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider)).map_err(unusable)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
