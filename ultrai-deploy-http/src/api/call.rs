//! One call of an API.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    redact::Redactor,
    secret::{Secret, Secrets},
};

use crate::{address::HttpUrl, header::HeaderName};

/// What a call does to what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, or does.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        })
    }
}

/// Whether a call whose answer did not come may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeat {
    /// It changes nothing. The default of a GET.
    Safe,
    /// It changes something, and a second time changes nothing more. The default of PUT and DELETE.
    Keyed,
    /// A second time does it twice. The default of POST and PATCH.
    Once,
}

/// One call.
#[derive(Clone)]
pub struct Call {
    operation: &'static str,
    method: Method,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, String)>,
    body: Option<(&'static str, Bytes)>,
    repeat: Repeat,
    class: &'static str,
    accepts: Option<Vec<u16>>,
    timeout: Option<Duration>,
    redactor: Redactor,
}

impl Call {
    /// A call of what `segments` name below the API's base; each is one segment, whatever it holds.
    /// `operation` says in errors what it was for: `start a deploy`.
    pub fn new<S: Into<String>>(
        operation: &'static str,
        method: Method,
        segments: impl IntoIterator<Item = S>,
    ) -> Self {
        let (repeat, class) = match method {
            Method::Get => (Repeat::Safe, "read"),
            Method::Put | Method::Delete => (Repeat::Keyed, "write"),
            Method::Post | Method::Patch => (Repeat::Once, "write"),
        };
        Self {
            operation,
            method,
            segments: segments.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            repeat,
            class,
            accepts: None,
            timeout: None,
            redactor: Redactor::default(),
        }
    }

    /// A call that reads.
    pub fn get<S: Into<String>>(
        operation: &'static str,
        segments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::new(operation, Method::Get, segments)
    }

    /// A call that creates or does something.
    pub fn post<S: Into<String>>(
        operation: &'static str,
        segments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::new(operation, Method::Post, segments)
    }

    /// Adds a pair to the query. It must not be a secret: paths and queries end up in logs of others.
    pub fn with_query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header. It must not be a secret: that is what a [`Credential`](super::Credential) is for.
    pub fn with_header(mut self, name: &HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name.clone(), value.into()));
        self
    }

    /// Sets a JSON body.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it has no JSON form.
    pub fn with_json(mut self, body: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(body).map_err(|source| {
            Error::new(ErrorKind::Unexpected, self.operation, "its body has no JSON form")
                .without_effect()
                .with_source(source)
        })?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }

    /// Sets a body of another type.
    pub fn with_body(mut self, content_type: &'static str, bytes: Vec<u8>) -> Self {
        self.body = Some((content_type, bytes.into()));
        self
    }

    /// Says whether it may be sent again, where the method does not tell.
    pub fn with_repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Names the class of calls that share one limit of the platform with this one; `read` and
    /// `write` by default.
    pub fn with_class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Sets which statuses are no failure, instead of 200 to 299.
    pub fn accepting(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.accepts = Some(statuses.into_iter().collect());
        self
    }

    /// Sets the longest time of one attempt, instead of the limits' own.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Names the secrets that it carries, or that are known: what answers may repeat them. They are
    /// cut out of the errors of this call and of all later ones before anything is shortened.
    ///
    /// # Errors
    /// As [`SecretName::new`], which none of the names that it makes up does.
    pub fn with_secrets<'a>(
        mut self,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Self> {
        let named = secrets
            .into_iter()
            .enumerate()
            .map(|(at, secret)| Ok((SecretName::new(format!("SECRET_{at}"))?, secret.clone())));
        let named = named.collect::<Result<Secrets>>()?;
        self.redactor.extend(Redactor::new(&named));
        Ok(self)
    }

    /// What it is for.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether it may be sent again.
    pub fn repeat(&self) -> Repeat {
        self.repeat
    }

    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    /// Cuts what it carries out of texts.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(super) fn accepts(&self, status: u16) -> bool {
        match &self.accepts {
            Some(statuses) => statuses.contains(&status),
            None => (200..=299).contains(&status),
        }
    }

    /// The path below the base, for people; never the query.
    pub(super) fn shown_path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    pub(super) fn request(
        &self,
        http: &reqwest::Client,
        base: &HttpUrl,
    ) -> Result<reqwest::RequestBuilder> {
        let mut url = base.url().clone();
        let odd = |segment: &String| matches!(segment.as_str(), "" | "." | "..");
        if let (false, Ok(mut path)) = (self.segments.iter().any(odd), url.path_segments_mut()) {
            path.pop_if_empty().extend(&self.segments);
        } else {
            let message = format!("{} names nothing", self.shown_path().escape_default());
            return Err(Error::new(ErrorKind::Invalid, self.operation, message)
                .with_advice("an id or name is empty: look at the configuration")
                .without_effect());
        }
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request =
            http.request(method, url).header(reqwest::header::ACCEPT, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value);
        }
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some((content_type, bytes)) = &self.body {
            let body = bytes.clone();
            request = request.header(reqwest::header::CONTENT_TYPE, *content_type).body(body);
        }
        Ok(request)
    }
}

/// Shows neither query nor body: they may hold values of variables.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("path", &self.shown_path())
            .finish_non_exhaustive()
    }
}
