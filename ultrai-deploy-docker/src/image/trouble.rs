//! What a failed call to a registry means.
//!
//! The engine speaks with the registry, and often hands its refusals on as status 500, or in the
//! middle of a stream that began with 200. What begins their texts then is the only thing to go by:
//! the error codes of the distribution specification in lower case, and few words of the engine.

use bollard::errors::Error as Bollard;
use ultrai_deploy_core::error::{Error, ErrorKind};

use crate::registry::host_of;

/// What is the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The reference means nothing.
    Invalid,
    /// The registry wants a login, or another one.
    Unauthorized,
    /// The login is good, and may not do that.
    Forbidden,
    /// It is not there.
    Absent,
    /// Too many requests.
    Busy,
    /// No answer in time.
    Late,
    /// Anything else: the registry, or the way to it, is broken.
    Broken,
}

/// Codes in the texts of errors, and what they mean.
const CODES: [(&str, Trouble); 16] = [
    ("no basic auth credentials", Trouble::Unauthorized),
    ("unauthorized:", Trouble::Unauthorized),
    ("authentication required", Trouble::Unauthorized),
    ("401 unauthorized", Trouble::Unauthorized),
    ("denied:", Trouble::Forbidden),
    ("403 forbidden", Trouble::Forbidden),
    ("toomanyrequests:", Trouble::Busy),
    ("429 too many requests", Trouble::Busy),
    ("manifest unknown", Trouble::Absent),
    ("name unknown", Trouble::Absent),
    ("unknown blob", Trouble::Absent),
    ("blob unknown", Trouble::Absent),
    ("404 not found", Trouble::Absent),
    ("request canceled", Trouble::Late),
    ("deadline exceeded", Trouble::Late),
    ("i/o timeout", Trouble::Late),
];

impl Trouble {
    pub(super) fn of(source: &Bollard) -> Self {
        let text = match source {
            Bollard::DockerResponseServerError { status_code, message } => match status_code {
                400 => return Self::Invalid,
                401 => return Self::Unauthorized,
                403 => return Self::Forbidden,
                404 => return Self::Absent,
                429 => return Self::Busy,
                _ => message,
            },
            Bollard::DockerStreamError { error } => error,
            Bollard::RequestTimeoutError => return Self::Late,
            _ => return Self::Broken,
        };
        let text = text.to_ascii_lowercase();
        let code = CODES.iter().find(|(code, _)| text.contains(code));
        code.map_or(Self::Broken, |(_, trouble)| *trouble)
    }

    /// The error of `operation` on `reference`, for one who was logged in or not.
    pub(super) fn error(
        self,
        operation: &'static str,
        reference: &str,
        is_logged_in: bool,
        source: Bollard,
    ) -> Error {
        let (registry, image) = (host_of(reference), shown(reference));
        let log_in = format!(
            "`docker login {registry}` as the user who deploys, or write [registries.\"{registry}\"] \
             with username and password into deploy.toml"
        );
        let (kind, message, advice) = match self {
            Self::Invalid => (
                ErrorKind::Invalid,
                format!("{image} is no image reference"),
                "write it as [registry/]repository[:tag]".to_owned(),
            ),
            Self::Unauthorized if is_logged_in => (
                ErrorKind::Denied,
                format!("registry {registry} does not accept the credentials for {image}"),
                format!("they are wrong or have expired: {log_in}"),
            ),
            Self::Unauthorized => (
                ErrorKind::Denied,
                format!("registry {registry} wants a login for {image}, and none is known"),
                log_in,
            ),
            Self::Forbidden => (
                ErrorKind::Denied,
                format!("registry {registry} does not allow this for {image}"),
                if is_logged_in {
                    "give that user the right to it, or correct the name".to_owned()
                } else {
                    log_in
                },
            ),
            Self::Absent => (
                ErrorKind::NotFound,
                format!(
                    "registry {registry} has no image {image}, or shows it only to those logged in"
                ),
                if is_logged_in {
                    "correct the name, or push the image there first".to_owned()
                } else {
                    "correct the name, `docker pull` or `docker load` it on this engine first, \
                     log in to the registry, or give the service a `build`"
                        .to_owned()
                },
            ),
            Self::Busy => (
                ErrorKind::Unavailable,
                format!("registry {registry} counts too many requests"),
                if is_logged_in {
                    "try again later".to_owned()
                } else {
                    format!("try again later; with a login more are allowed: {log_in}")
                },
            ),
            Self::Late => (
                ErrorKind::Timeout,
                format!("registry {registry} does not answer for {image}"),
                "try again".to_owned(),
            ),
            Self::Broken => (
                ErrorKind::Unavailable,
                format!("the exchange with registry {registry} about {image} failed"),
                "check the engine's way to the registry and the registry itself, then try again"
                    .to_owned(),
            ),
        };
        let error = Error::new(kind, operation, message).with_advice(advice).without_effect();
        let error = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout => error.retryable(),
            _ => error,
        };
        error.with_source(source)
    }
}

/// A reference as it may stand in an error: what is none may be anything.
fn shown(reference: &str) -> String {
    reference.escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::Effect;

    use super::*;

    fn status(status_code: u16, message: &str) -> Bollard {
        Bollard::DockerResponseServerError { status_code, message: message.into() }
    }

    fn stream(error: &str) -> Bollard {
        Bollard::DockerStreamError { error: error.into() }
    }

    #[test]
    fn every_trouble_is_told_with_what_to_do_and_changes_nothing() {
        for (source, kind, retryable) in [
            (status(400, "m"), ErrorKind::Invalid, false),
            (status(401, "m"), ErrorKind::Denied, false),
            (status(403, "m"), ErrorKind::Denied, false),
            (status(404, "m"), ErrorKind::NotFound, false),
            (status(429, "m"), ErrorKind::Unavailable, true),
            (status(500, "m"), ErrorKind::Unavailable, true),
            (
                status(500, "Head \"http://r/v2/\": no basic auth credentials"),
                ErrorKind::Denied,
                false,
            ),
            (status(500, "unauthorized: authentication required"), ErrorKind::Denied, false),
            (status(500, "toomanyrequests: pull rate limit"), ErrorKind::Unavailable, true),
            (stream("denied: requested access is denied"), ErrorKind::Denied, false),
            (
                stream("received unexpected HTTP status: 503 Service Unavailable"),
                ErrorKind::Unavailable,
                true,
            ),
            (
                stream("received unexpected HTTP status: 429 Too Many Requests"),
                ErrorKind::Unavailable,
                true,
            ),
            (stream("Get \"http://r/v2/\": net/http: request canceled"), ErrorKind::Timeout, true),
            (
                stream("dial tcp 127.0.0.1:1: connect: connection refused"),
                ErrorKind::Unavailable,
                true,
            ),
            (Bollard::RequestTimeoutError, ErrorKind::Timeout, true),
        ] {
            for is_logged_in in [false, true] {
                let text = source.to_string();
                let again = match &source {
                    Bollard::DockerResponseServerError { status_code, message } => {
                        status(*status_code, message)
                    }
                    Bollard::DockerStreamError { error } => stream(error),
                    _ => Bollard::RequestTimeoutError,
                };
                let trouble = Trouble::of(&source);
                let error = trouble.error("push an image", "r.io/web:1", is_logged_in, again);
                assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{text}");
                assert_eq!(error.effect(), Effect::None, "{text}");
                assert!(error.message().contains("r.io"), "{error}");
                assert!(error.advice().is_some(), "{error}");
            }
        }
    }

    #[test]
    fn who_is_not_logged_in_is_told_how() {
        let told = |is_logged_in| {
            let trouble = Trouble::of(&status(401, "m"));
            trouble.error("pull an image", "r.io/web:1", is_logged_in, status(401, "m")).to_string()
        };
        assert!(told(false).contains("none is known") && told(false).contains("docker login r.io"));
        assert!(told(true).contains("does not accept the credentials"), "{}", told(true));
    }
}
