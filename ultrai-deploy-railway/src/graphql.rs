//! Sending a document, and reading its answer, which is an error more often than its status says.

use std::collections::HashSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    name::SecretName,
    redact::Redactor,
    secret::{Secret, Secrets},
};
use ultrai_deploy_http::api::{Api, Call, Repeat, Reply};

use crate::{
    documents::Document,
    model::page::Page,
    refusal::{self, Asked, Complaint},
    token::TokenKind,
};

/// All calls of a token count against the same limits.
pub(crate) const CLASS: &str = "railway";
/// How many are asked for with one page of a list.
const PAGE: usize = 100;
/// More pages than this are no list but a server that does not end.
const MOST_PAGES: usize = 100;

/// The GraphQL endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Graphql {
    pub(crate) api: Api,
    pub(crate) token: TokenKind,
}

/// One document on its way.
pub(crate) struct Request {
    document: Document,
    variables: Value,
    repeat: Repeat,
    redactor: Redactor,
    secrets: Vec<Secret>,
    is_answer_secret: bool,
}

impl Request {
    /// A query may be sent again, a mutation may not.
    pub(crate) fn new(document: Document, variables: Value) -> Self {
        let repeat = if document.is_query() { Repeat::Safe } else { Repeat::Once };
        let (variables, redactor) = (without_nulls(variables), Redactor::default());
        let secrets = Vec::new();
        Self { document, variables, repeat, redactor, secrets, is_answer_secret: false }
    }

    /// With the nulls among the variables, which mean something.
    pub(crate) fn with_nulls(document: Document, variables: Value) -> Self {
        Self { variables, ..Self::new(document, Value::Null) }
    }

    /// Says that a second time changes nothing more.
    pub(crate) fn keyed(mut self) -> Self {
        self.repeat = Repeat::Keyed;
        self
    }

    /// Names the secrets in the variables: Railway repeats what it refuses.
    pub(crate) fn with_secrets<'a>(
        mut self,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Self> {
        self.secrets = secrets.into_iter().cloned().collect();
        self.redactor = redactor(&self.secrets)?;
        Ok(self)
    }

    /// Says that nothing of the answer may be shown.
    pub(crate) fn with_secret_answer(mut self) -> Self {
        self.is_answer_secret = true;
        self
    }
}

/// Cuts secrets out of texts.
pub(crate) fn redactor<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Redactor> {
    let named = secrets.into_iter().enumerate().map(|(index, secret)| {
        let name = SecretName::new(format!("SECRET_{index}"))?;
        Ok((name, secret.clone()))
    });
    Ok(Redactor::new(&named.collect::<Result<Secrets>>()?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: Option<Value>,
    errors: Option<Vec<Complaint>>,
}

impl Graphql {
    /// Sends a document and reads what it asks for.
    ///
    /// # Errors
    /// As [`Client`](crate::Client) says.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        cx: &Context,
        request: &Request,
    ) -> Result<T> {
        let document = request.document;
        let body = json!({
            "query": document.text,
            "variables": request.variables,
            "operationName": document.name(),
        });
        // The query is for Cloudflare, which lets fewer calls without one through.
        let call = Call::post(document.purpose, [] as [&str; 0])
            .with_query("op", document.name())
            .with_json(&body)?
            .with_repeat(request.repeat)
            .with_class(CLASS)
            .with_secrets(&request.secrets)?
            .accepting([200, 400]);
        let read = match self.api.send(cx, &call).await {
            Ok(reply) => self.read(request, &reply),
            Err(error) => Err(error),
        };
        // Whatever answers may repeat what it was sent, also what stands before Railway.
        let read = read.map_err(|error| request.redactor.error(error));
        if document.is_query() { read.map_err(Error::without_effect) } else { read }
    }

    fn read<T: DeserializeOwned>(&self, request: &Request, reply: &Reply) -> Result<T> {
        let odd = |what: &str| odd(request.document, what);
        let answer: Answer = if request.is_answer_secret {
            // Not the source: it may show a value.
            serde_json::from_slice(reply.body()).map_err(|_| {
                odd(&format!("the answer ({}) is not that of an API", reply.status()))
            })?
        } else {
            reply.json()?
        };
        if let Some(complaints) = answer.errors.filter(|complaints| !complaints.is_empty()) {
            let redactor = self.api.redactor();
            let (document, repeat, token) = (request.document, request.repeat, self.token);
            let asked = Asked { document, repeat, token, redactor: &redactor };
            return Err(refusal::error(asked, reply.status(), &complaints));
        }
        if reply.status() != 200 {
            return Err(odd(&format!("the answer ({}) tells no error", reply.status())));
        }
        let mut data = answer.data.ok_or_else(|| odd("the answer has neither data nor errors"))?;
        let place = request.document.answer;
        let value = data.pointer_mut(place).map(Value::take).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| odd(&format!("the answer has nothing at {place}")))?;
        serde_json::from_value(value).map_err(|source| {
            let error = odd(&format!("what the answer has at {place} is of another form"));
            if request.is_answer_secret { error } else { error.with_source(source) }
        })
    }

    /// Sends a mutation that answers whether it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it was not, although no error is told.
    pub(crate) async fn confirm(&self, cx: &Context, request: &Request) -> Result<()> {
        if self.send::<bool>(cx, request).await? {
            return Ok(());
        }
        let message = "Railway answers that it did not do it, and not why";
        Err(Error::new(ErrorKind::Conflict, request.document.purpose, message)
            .with_advice("look in Railway's dashboard what state it is in"))
    }

    /// Reads a list page by page, until it ends or holds `at_most`.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the pages go round in a circle or do not end.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        cx: &Context,
        document: Document,
        variables: Value,
        at_most: usize,
    ) -> Result<Vec<T>> {
        let endless = |what: String| {
            odd(document, &what)
                .with_advice("this is a fault of the server: try again later")
                .without_effect()
        };
        let mut request = Request::new(document, variables);
        request.variables["first"] = at_most.min(PAGE).into();
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..MOST_PAGES {
            let page: Page<T> = self.send(cx, &request).await?;
            all.extend(page.nodes);
            if all.len() >= at_most || !page.page_info.has_next_page {
                all.truncate(at_most);
                return Ok(all);
            }
            let Some(cursor) = page.page_info.end_cursor else {
                return Err(endless("the list goes on, and nothing tells where".to_owned()));
            };
            request.variables["after"] = cursor.as_str().into();
            if !seen.insert(cursor) {
                return Err(endless("the pages of the list go round in a circle".to_owned()));
            }
        }
        Err(endless(format!("the list has more than {MOST_PAGES} pages")))
    }
}

/// What is not given is left out: some of Railway's calls treat null as a value.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let given = fields.into_iter().filter(|(_, value)| !value.is_null());
            given.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        other => other,
    }
}

fn odd(document: Document, what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, document.purpose, what)
}
