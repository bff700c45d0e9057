//! What a failed request means, by status code and transport, never by text.

use bollard::errors::Error as Bollard;
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

/// The error of `operation` (a verb phrase) on `object`.
pub(crate) fn engine_error(operation: &'static str, object: &str, source: Bollard) -> Error {
    let (kind, rejected) = match &source {
        Bollard::DockerResponseServerError { status_code, .. } => match status_code {
            400 => (ErrorKind::Invalid, true),
            401 | 403 => (ErrorKind::Denied, true),
            404 => (ErrorKind::NotFound, true),
            409 => (ErrorKind::Conflict, true),
            501 => (ErrorKind::Unsupported, true),
            503 => (ErrorKind::Unavailable, false),
            _ => (ErrorKind::Unexpected, false),
        },
        Bollard::RequestTimeoutError => (ErrorKind::Timeout, false),
        Bollard::HyperLegacyError { err } => (ErrorKind::Unavailable, err.is_connect()),
        Bollard::SocketNotFoundError(_) => (ErrorKind::Unavailable, true),
        Bollard::IOError { .. } | Bollard::HyperResponseError { .. } => {
            (ErrorKind::Unavailable, false)
        }
        _ => (ErrorKind::Unexpected, false),
    };
    let error = Error::new(kind, operation, format!("the request for {object} failed"));
    let error = if rejected { error.without_effect() } else { error };
    let error = if kind == ErrorKind::Unavailable { error.retryable() } else { error };
    error.with_source(source)
}

/// Treats "not there" as done.
pub(crate) fn ignore_missing<T: Default>(result: Result<T>) -> Result<T> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status_code: u16) -> Error {
        let source = Bollard::DockerResponseServerError { status_code, message: "no".into() };
        engine_error("start container", "web", source)
    }

    #[test]
    fn the_status_decides() {
        assert_eq!(status(404).kind(), ErrorKind::NotFound);
        assert_eq!(status(409).kind(), ErrorKind::Conflict);
        assert_eq!(status(409).effect(), ultrai_deploy_core::Effect::None);
        assert_eq!(status(500).effect(), ultrai_deploy_core::Effect::Unknown);
        assert_eq!(
            engine_error("stop container", "web", Bollard::RequestTimeoutError).kind(),
            ErrorKind::Timeout
        );
    }

    #[test]
    fn the_text_of_the_engine_is_in_the_chain_only() {
        let error = status(500);
        assert!(!error.to_string().contains("responded"), "{error}");
        assert!(ultrai_deploy_core::Chain(&error).to_string().contains("status code 500: no"));
    }
}
