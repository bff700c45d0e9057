//! Where a probe looks: an address of its own, or a port of the check's service.

use std::fmt;

use ultrai_deploy_core::{Result, health::Endpoint, verification::CheckSpec};
use ultrai_deploy_http::address::{HostPort, Located, locate};

use crate::source::wrong;

/// Where a probe looks.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Address(HostPort),
    /// Of the check's service; the only port where none is named.
    Service(Option<u16>),
}

/// A host and a port to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Place {
    /// The place that a check names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](ultrai_deploy_core::ErrorKind) when it names two, or none.
    pub(crate) fn of(
        check: &CheckSpec,
        address: Option<&HostPort>,
        port: Option<u16>,
    ) -> Result<Self> {
        match (address, port, &check.service) {
            (Some(_), Some(_), _) => Err(wrong(check, "has an address and a port")
                .with_advice("leave port out: address is host:port")),
            (None, _, None) => Err(wrong(check, "says not where to look")
                .with_advice("name a service of the release, or set address to host:port")),
            (None, Some(0), _) => Err(wrong(check, "has port 0").with_advice("set another port")),
            (Some(address), None, _) => Ok(Self::Address(address.clone())),
            (None, port, Some(_)) => Ok(Self::Service(port)),
        }
    }

    /// Where that is now; why it is nowhere yet, where it is not.
    ///
    /// # Errors
    /// As [`locate`].
    pub(crate) fn spot(&self, endpoint: &Endpoint) -> Result<Result<Spot, String>> {
        Ok(match self {
            Self::Address(address) => {
                let (host, port) = address.parts();
                Ok(Spot { host: host.to_owned(), port })
            }
            Self::Service(port) => match locate(endpoint, *port)? {
                Located::At(at) => Ok(Spot { host: at.ip().to_string(), port: at.port() }),
                Located::Nowhere(why) => Err(why),
            },
        })
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
