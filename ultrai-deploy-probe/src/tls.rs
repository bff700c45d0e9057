//! The certificate that a server shows: trusted, for the right name, valid for long enough.

mod recorder;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rustls::{
    CertificateError, ClientConfig, Error as TlsError,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::HostPort;
use x509_parser::parse_x509_certificate;

use self::recorder::{Recorder, Shown};
use crate::{
    connection::Connection,
    finding::{Finding, said},
    look::{Look, Looking},
    place::{Place, Spot},
    source::{Resources, wrong},
    trust::unusable,
};

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// A server whose certificate is trusted, for its name, and valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSpec {
    /// Where it listens; the check's service by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<HostPort>,
    /// The port of the check's service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The name that the certificate has to be for; the host that is connected to by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For how many days it has to be valid yet; 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_days: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(days: &u32) -> bool {
    *days == 0
}

#[derive(Debug)]
pub(crate) struct Tls {
    spec: TlsSpec,
    place: Place,
    resources: Resources,
}

impl Tls {
    pub(crate) fn new(check: &CheckSpec, spec: TlsSpec, resources: Resources) -> Result<Self> {
        let place = Place::of(check, spec.address.as_ref(), spec.port)?;
        if spec.name.as_ref().is_some_and(|name| ServerName::try_from(name.as_str()).is_err()) {
            return Err(wrong(check, "has a name that no certificate could be for")
                .with_advice("set name to a host without scheme and port: api.example.com"));
        }
        Ok(Self { spec, place, resources })
    }

    /// Shakes hands; what the server showed, or what went wrong on the way.
    async fn shake_hands(
        &self,
        spot: &Spot,
        name: &str,
        looking: &Looking,
    ) -> Result<Result<Shown, String>> {
        let Ok(name) = ServerName::try_from(name.to_owned()) else {
            return Ok(Err(format!("`{name}` is no name that a certificate could be for")));
        };
        let connection = match Connection::open(spot).await {
            Ok(connection) => connection,
            Err(why) => return Ok(Err(why)),
        };
        looking.waits(format!("TLS at {spot}: no end of the handshake"));
        let trust = &self.resources.trust;
        let now = self.resources.clock.now().as_second();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(now).unwrap_or_default(),
        ));
        let recorder = Arc::new(Recorder::new(trust.roots().await?, trust.provider(), now));
        let config = ClientConfig::builder_with_provider(trust.provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
            .with_no_client_auth();
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, connection).await;
        Ok(match (shaken, recorder.shown()) {
            (Ok(_nothing_is_sent), Some(shown)) => Ok(shown),
            (Ok(_), None) => Err("it showed no certificate".to_owned()),
            (Err(error), _) => Err(format!("no TLS: {error}")),
        })
    }
}

#[async_trait]
impl Look for Tls {
    fn secrets(&self) -> Vec<SecretName> {
        Vec::new()
    }

    async fn look(&self, endpoint: &Endpoint, _: &Secrets, looking: &Looking) -> Result<Finding> {
        let spot = match self.place.spot(endpoint)? {
            Ok(spot) => spot,
            Err(why) => return Ok(Finding::not_yet(why)),
        };
        looking.waits(format!("TLS at {spot}: no connection"));
        let name = self.spec.name.as_deref().unwrap_or(&spot.host);
        let who = format!("the certificate of {spot} for {name}");
        Ok(match self.shake_hands(&spot, name, looking).await? {
            Ok(shown) => judge(&who, &shown, self.resources.clock.now(), self.spec.min_days),
            Err(why) => Finding::bad(format!("TLS at {spot}: {why}")),
        })
    }
}

fn judge(who: &str, shown: &Shown, now: Timestamp, min_days: u32) -> Finding {
    let Some(own) = Certificate::read(&shown.certificate) else {
        return Finding::bad(format!("{who} is damaged"));
    };
    let seen = format!(
        "{who}: subject {}, issuer {}, valid from {} until {}",
        said(own.subject.as_bytes()),
        said(own.issuer.as_bytes()),
        day(own.begins),
        day(own.ends),
    );
    let why = match &shown.verdict {
        Ok(()) => {
            let left = (own.ends - now.as_second()).div_euclid(DAY);
            if left >= i64::from(min_days) {
                return Finding::good(format!("{seen} ({left} days)"));
            }
            format!("ends in {left} days, on {}; {min_days} are wanted", day(own.ends))
        }
        Err(TlsError::InvalidCertificate(wrong)) => match wrong {
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
                if own.ends < now.as_second() =>
            {
                format!("expired on {}", day(own.ends))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "comes from an authority whose own certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("is not valid before {}", day(own.begins))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("is for other names: {wrong}")
            }
            CertificateError::UnknownIssuer if own.subject == own.issuer => {
                "is self-signed, and this machine does not trust it".to_owned()
            }
            CertificateError::UnknownIssuer => format!(
                "comes from {}, which this machine does not trust, or a certificate between them is not sent",
                said(own.issuer.as_bytes())
            ),
            CertificateError::BadSignature => format!(
                "is not signed by the authority named {} that this machine trusts",
                said(own.issuer.as_bytes())
            ),
            CertificateError::Revoked => "is revoked".to_owned(),
            other => format!("is not valid: {other}"),
        },
        Err(other) => format!("cannot be verified: {other}"),
    };
    Finding::bad(format!("{who} {why}")).with_evidence(format!("{seen}; it {why}"))
}

/// What is told of a certificate. Only the server's own: servers often send others along that have
/// expired and that nobody needs.
struct Certificate {
    subject: String,
    issuer: String,
    begins: i64,
    ends: i64,
}

impl Certificate {
    fn read(bytes: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(bytes).ok()?;
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            begins: certificate.validity().not_before.timestamp(),
            ends: certificate.validity().not_after.timestamp(),
        })
    }
}

/// The day of a time in seconds since 1970, in UTC.
fn day(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(
        |_beyond| "a day beyond all calendars".to_owned(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}
