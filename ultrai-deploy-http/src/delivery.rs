//! Requests to a receiver whose URL is a secret itself: an incoming webhook.

use std::{fmt, time::Duration};

use reqwest::{Url, header};
use ultrai_deploy_core::{Error, ErrorKind, Result, secret::Secret};

use crate::client::{Client, deepest};

const SEND: &str = "send a notification";

/// Longest time of a `Retry-After` that is believed: an hour.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// A URL that lets whoever knows it post: shown nowhere, neither in `Debug` nor in errors.
#[derive(Clone)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// Parses the value of a secret.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no absolute `http` or `https` URL. The message shows
    /// nothing of it.
    pub fn parse(value: &Secret) -> Result<Self> {
        // No source: it could repeat a part of the text.
        Url::parse(value.expose().trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .map(Self)
            .ok_or_else(|| {
                Error::new(ErrorKind::Invalid, SEND, "the receiver's URL is no http or https URL")
                    .with_advice("set the secret to the whole URL, beginning with https://")
                    .without_effect()
            })
    }

    /// Whether what is sent there can be read by nobody on the way: TLS, or this machine itself.
    pub fn is_private(&self) -> bool {
        self.0.scheme() == "https"
            || match self.0.host() {
                Some(url::Host::Ipv4(address)) => address.is_loopback(),
                Some(url::Host::Ipv6(address)) => address.is_loopback(),
                Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
                None => false,
            }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

/// What a receiver answered. Its body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The status.
    pub status: u16,
    /// How long it asks to be left alone, in whole seconds and at most an hour; nothing where it
    /// gives a date.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// Posts `body`, within `timeout` and the configuration's own limit. The answer is over with its
    /// head: a body that is cut off or never ends makes no difference.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`], both retryable, when there was no HTTP
    /// answer; [`ErrorKind::Unsupported`] as for [`Client::send`]; [`ErrorKind::Invalid`] for a
    /// header that HTTP does not allow. None of them shows the URL, a header or the body.
    pub async fn deliver(
        &self,
        url: &SecretUrl,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Delivered> {
        let client = self.for_scheme(url.0.scheme(), &"the receiver")?;
        let timeout = timeout.min(self.limit());
        let mut request = client.post(url.0.clone()).body(body).timeout(timeout);
        for (name, value) in headers {
            let mut value = header::HeaderValue::from_str(value).map_err(|source| {
                Error::new(ErrorKind::Invalid, SEND, format!("header {name} has an invalid value"))
                    .without_effect()
                    .with_source(source)
            })?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let response = request.send().await.map_err(|error| unanswered(error, timeout))?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
        Ok(Delivered { status: response.status().as_u16(), retry_after })
    }
}

fn unanswered(error: reqwest::Error, timeout: Duration) -> Error {
    let (kind, what) = if error.is_timeout() {
        (ErrorKind::Timeout, format!("no answer within {timeout:?}"))
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("could not connect: {}", deepest(&error)))
    } else {
        (ErrorKind::Unavailable, format!("no HTTP answer: {}", deepest(&error)))
    };
    Error::new(kind, SEND, what).retryable().with_source(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_without_being_shown() {
        for bad in ["hunter2", "ftp://hunter2/", "https://", "hunter2://x", ""] {
            let error = SecretUrl::parse(&Secret::new(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn only_tls_and_this_machine_are_private() {
        for (url, private) in [
            ("https://hooks.example/x", true),
            ("http://127.0.0.1:1/x", true),
            ("http://localhost/x", true),
            ("http://hooks.example/x", false),
            ("http://10.0.0.1/x", false),
        ] {
            let url = SecretUrl::parse(&Secret::new(url)).unwrap();
            assert_eq!(url.is_private(), private);
            assert_eq!(format!("{url:?}"), "SecretUrl(…)");
        }
    }
}
