//! Where probes look: URLs, paths, and host with port.

use std::{fmt, net::SocketAddr};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result, health::Endpoint, name::ServiceName};

macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

/// An absolute `http` or `https` URL without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl(Url);

text_form!(HttpUrl);

impl HttpUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not absolute, has another scheme, or holds a user name
    /// or password. The message shows no password.
    pub fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|source| {
            let advice = "write an absolute URL, for example http://127.0.0.1:8085/health";
            // Until it is parsed, nobody knows where in the text a password ends.
            let shown = if text.contains('@') { "(hidden)" } else { text };
            invalid("read a URL", format!("`{}` is no URL", shown.escape_default()), advice)
                .with_source(source)
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "read a URL",
                "it holds a user name or password, which would be stored with the release",
                "send credentials in a header whose value is a secret",
            ));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(
                "read a URL",
                format!("`{}` is not http or https", url.scheme()),
                "write an absolute URL, for example http://127.0.0.1:8085/health",
            ));
        }
        Ok(Self(url))
    }

    /// The URL of `path` below this one: a path of its own stays in front.
    #[must_use]
    pub fn below(&self, path: &UrlPath) -> Self {
        let mut url = self.0.clone();
        let (path, query) = path.split();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.set_query(query);
        Self(url)
    }

    /// The URL of `path` at an address, by plain HTTP.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when they make no URL; none is known.
    pub fn of_address(address: SocketAddr, path: &UrlPath) -> Result<Self> {
        Self::parse(&format!("http://{address}{path}"))
    }

    /// Whether it is on this machine for sure: a loopback address, or `localhost`, which no resolver
    /// may send elsewhere (RFC 6761).
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            None => false,
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The path of a URL, with a query where needed: `/health?full=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPath(String);

text_form!(UrlPath);

impl UrlPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it does not begin with a single `/` or holds white space.
    pub fn parse(text: &str) -> Result<Self> {
        let good = text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(
            "read a path",
            format!("`{}` is no path of a URL", text.escape_default()),
            "begin it with one `/` and write %20 for a space, for example /health",
        ))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, Option<&str>) {
        match self.0.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.0, None),
        }
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, by name or number, and a port: `redis.internal:6379`, `[::1]:6379`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    host: String,
    port: u16,
}

text_form!(HostPort);

impl HostPort {
    /// Parses host and port.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one of them is missing or there is more.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(number) => number,
                None if host.contains(':') => return None,
                None => host,
            };
            let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']');
            (!host.is_empty() && !host.contains(odd)).then(|| Self { host: host.to_owned(), port })
        });
        parsed.ok_or_else(|| {
            invalid(
                "read an address",
                format!("`{}` is no host and port", text.escape_default()),
                "write host:port, for example 127.0.0.1:6379",
            )
        })
    }

    /// The host, without brackets, and the port.
    pub fn parts(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What an endpoint tells about the address of one of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// Here.
    At(SocketAddr),
    /// No address yet; why, for people.
    Nowhere(String),
}

/// Finds the address of `port`, or of the only one.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the service has other ports, or several and none is named.
pub fn locate(endpoint: &Endpoint, port: Option<u16>) -> Result<Located> {
    let service = endpoint.service.as_ref().map_or("the service", ServiceName::as_str);
    if endpoint.addresses.is_empty() {
        return Ok(Located::Nowhere(format!(
            "{service} has no address that is reached from here: it is not up, or publishes no port"
        )));
    }
    let known: Vec<_> = endpoint.addresses.iter().map(|(port, _)| port.to_string()).collect();
    match (port, endpoint.address(port)) {
        (None, _) if known.len() > 1 => Err(invalid(
            "find the address of a check",
            format!("{service} has several ports"),
            format!("name one of {} as the check's port", known.join(", ")),
        )),
        (_, Some(address)) => Ok(Located::At(address)),
        (port, None) => Err(invalid(
            "find the address of a check",
            format!("port {} of {service} is not reached from here", port.unwrap_or_default()),
            format!("publish it, or use one of {}", known.join(", ")),
        )),
    }
}

fn invalid(
    operation: &'static str,
    message: impl Into<String>,
    advice: impl Into<String>,
) -> Error {
    Error::new(ErrorKind::Invalid, operation, message).with_advice(advice).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_no_use_to_a_probe_are_refused_without_showing_a_password() {
        for bad in ["health", "/health", "ftp://x/", "http://", "http://u:hunter2@x/", "u:hunter2@"]
        {
            let error = HttpUrl::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            assert!(error.advice().is_some(), "{bad}");
        }
    }

    #[test]
    fn a_path_goes_below_the_base() {
        let path = UrlPath::parse("/health?full=1").unwrap();
        for (base, whole) in [
            ("http://x:1", "http://x:1/health?full=1"),
            ("http://x:1/api/", "http://x:1/api/health?full=1"),
            ("http://x:1/api", "http://x:1/api/health?full=1"),
        ] {
            assert_eq!(HttpUrl::parse(base).unwrap().below(&path).to_string(), whole);
        }
        let address = "[::1]:80".parse().unwrap();
        let url = HttpUrl::of_address(address, &path).unwrap();
        assert_eq!(url.to_string(), "http://[::1]/health?full=1");
    }

    #[test]
    fn a_path_cannot_name_another_host() {
        for bad in ["", "health", "//evil.example/", "/a b", "@evil.example"] {
            assert!(UrlPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn host_and_port() {
        for good in ["127.0.0.1:6379", "redis:6379", "[::1]:6379"] {
            assert_eq!(HostPort::parse(good).unwrap().to_string(), good);
        }
        for bad in ["redis", "redis:", ":1", "redis:0", "redis:70000", "redis://x:1", "::1:6379"] {
            assert!(HostPort::parse(bad).is_err(), "{bad}");
        }
    }
}
