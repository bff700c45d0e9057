//! What a request sends.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::header::HeaderValue;

/// Largest file that is sent and stored with a release, in bytes.
pub const MAX_UPLOAD: usize = 256 * 1024;

/// What a request sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Body {
    /// JSON, as `application/json`.
    Json(Value),
    /// Text, of the type that the header `content-type` tells; `text/plain` without it.
    Text(String),
    /// A file, as a form with one field (`multipart/form-data`, RFC 7578).
    Upload(Upload),
}

/// A file that is sent in a field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The name of the field.
    pub field: String,
    /// The name of the file.
    pub name: String,
    /// The type of its content.
    pub content_type: HeaderValue,
    /// Its content, at most [`MAX_UPLOAD`] bytes.
    pub content: Content,
}

/// The content of a file; base64 where it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(Vec<u8>);

impl Content {
    /// The content of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is longer than [`MAX_UPLOAD`].
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        if bytes.len() <= MAX_UPLOAD {
            return Ok(Self(bytes));
        }
        let message = format!("it has {} bytes", bytes.len());
        Err(invalid(message).with_advice(format!(
            "send at most {} KiB: the content is stored with every release",
            MAX_UPLOAD / 1024
        )))
    }

    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for Content {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(
            STANDARD
                .decode(text)
                .map_err(|source| invalid("it is not base64").with_source(source))?,
        )
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        STANDARD.encode(content.0)
    }
}

impl Body {
    /// The type of its content, and its bytes.
    pub(crate) fn sent(&self) -> (String, Vec<u8>) {
        match self {
            Self::Json(value) => ("application/json".to_owned(), value.to_string().into_bytes()),
            Self::Text(text) => ("text/plain; charset=utf-8".to_owned(), text.clone().into_bytes()),
            Self::Upload(upload) => upload.sent(),
        }
    }
}

impl Upload {
    fn sent(&self) -> (String, Vec<u8>) {
        let boundary = self.boundary();
        let mut bytes = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
             Content-Type: {}\r\n\r\n",
            quoted(&self.field),
            quoted(&self.name),
            self.content_type.as_str(),
        )
        .into_bytes();
        bytes.extend_from_slice(self.content.as_bytes());
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), bytes)
    }

    /// A line that does not stand in the content.
    fn boundary(&self) -> String {
        let content = self.content.as_bytes();
        let stands = |text: &str| content.windows(text.len()).any(|part| part == text.as_bytes());
        let mut boundary = "ultrai-deploy".to_owned();
        let mut number = 0_u32;
        while stands(&boundary) {
            number += 1;
            boundary = format!("ultrai-deploy-{number}");
        }
        boundary
    }
}

/// A name between quotes, as browsers write it (WHATWG HTML, "multipart/form-data encoding
/// algorithm").
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read the content of a file", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(name: &str, content: &[u8]) -> Upload {
        Upload {
            field: "file".to_owned(),
            name: name.to_owned(),
            content_type: HeaderValue::new("text/plain").unwrap(),
            content: Content::new(content.to_vec()).unwrap(),
        }
    }

    #[test]
    fn a_file_goes_as_a_form() {
        let (kind, bytes) = Body::Upload(upload("a\"\r\nX: b.txt", b"hello")).sent();
        assert_eq!(kind, "multipart/form-data; boundary=ultrai-deploy");
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "--ultrai-deploy\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"a%22%0D%0AX: b.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
             --ultrai-deploy--\r\n"
        );
    }

    #[test]
    fn the_content_cannot_end_the_form() {
        let (kind, bytes) = upload("a", b"--ultrai-deploy--\r\n--ultrai-deploy-1--").sent();
        let boundary = kind.split_once("boundary=").unwrap().1.to_owned();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches(&boundary).count(), 2, "{text}");
    }

    #[test]
    fn content_is_stored_as_base64_and_bounded() {
        let stored = serde_json::json!({"upload": {
            "field": "file", "name": "a.txt", "content_type": "text/plain", "content": "aGVsbG8=",
        }});
        let body: Body = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(body, Body::Upload(upload("a.txt", b"hello")));
        assert_eq!(serde_json::to_value(&body).unwrap(), stored);
        let error = Content::new(vec![0; MAX_UPLOAD + 1]).unwrap_err();
        assert!(error.advice().unwrap().contains("256 KiB"), "{error}");
    }
}
