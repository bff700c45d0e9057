//! Lets a handshake go on whatever certificate is shown, and keeps it with the verdict on it.

use std::sync::{Arc, OnceLock};

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// Keeps what a server shows. Nothing may be sent through a connection that was made with it.
#[derive(Debug)]
pub(super) struct Recorder {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    now: UnixTime,
    shown: OnceLock<Shown>,
}

/// What a server showed.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its own certificate.
    pub(super) certificate: CertificateDer<'static>,
    /// Whether it is trusted, for the name, and valid now.
    pub(super) verdict: Result<(), Error>,
}

impl Recorder {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Self {
        Self { roots, provider, now, shown: OnceLock::new() }
    }

    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.get().cloned()
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            others,
            self.now,
            algorithms,
        )?;
        verify_server_name(&parsed, name)
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verify(certificate, others, name);
        self.shown.get_or_init(|| Shown { certificate: certificate.clone().into_owned(), verdict });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
