//! Where connections go.

use std::{fmt, net::SocketAddr};

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use ultrai_deploy_core::{Error, ErrorKind, Result};
use ultrai_deploy_http::address::HttpUrl;

use crate::{failure::deepest, tls};

/// Opens connections to one server.
pub(crate) struct Dialer {
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection, of which nothing was used yet.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialer {
    /// Looks the host up, once.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when its name leads nowhere.
    pub(crate) async fn find(url: &HttpUrl) -> Result<Self> {
        let uri: Uri = url.to_string().parse().map_err(|source: http::uri::InvalidUri| {
            Error::new(ErrorKind::Invalid, "read a URL", format!("{url} is no URI"))
                .without_effect()
                .with_source(source)
        })?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let nowhere = || {
            Error::new(ErrorKind::Unavailable, "look up a host", format!("{host} has no address"))
                .without_effect()
                .retryable()
        };
        let addresses: Vec<_> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|source| nowhere().with_source(source))?
            .collect();
        if addresses.is_empty() {
            return Err(nowhere());
        }
        let tls = if is_tls {
            let name = ServerName::try_from(host.to_owned()).map_err(|source| {
                Error::new(ErrorKind::Invalid, "read a URL", format!("{host} is no name for TLS"))
                    .without_effect()
                    .with_source(source)
            })?;
            Some((tls::connector()?, name))
        } else {
            None
        };
        Ok(Self { addresses, tls })
    }

    /// Connects; why not, for people.
    pub(crate) async fn dial(&self) -> Result<Stream, String> {
        let connected = TcpStream::connect(&self.addresses[..]).await;
        let stream = connected.map_err(|error| deepest(&error))?;
        // A request is one write: waiting for more only adds to its latency.
        stream.set_nodelay(true).map_err(|error| deepest(&error))?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some((connector, name)) => match connector.connect(name.clone(), stream).await {
                Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
                Err(error) => Err(format!("no TLS: {}", deepest(&error))),
            },
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
