//! Environment variables and secret files of a service.
//!
//! Nothing here deploys: a service sees them from its next deploy on. Each is set by its name;
//! Render's calls for all at once delete what they do not name.

use std::collections::BTreeMap;

use serde_json::json;
use ultrai_deploy_core::{
    Context, Result,
    name::SecretName,
    redact::Redactor,
    secret::{Secret, Secrets},
};
use ultrai_deploy_http::api::{Call, Method, Reply};

use super::{Client, list};
use crate::model::{SecretFile, ServiceId, Variable};

/// What a deletion may be answered with: what is gone is gone.
const GONE: [u16; 4] = [200, 202, 204, 404];

impl Client {
    /// The service's own environment variables; those of linked groups are not among them.
    ///
    /// # Errors
    /// An answer that cannot be read shows nothing of itself.
    pub async fn env_vars(&self, cx: &Context, service: &ServiceId) -> Result<Vec<Variable>> {
        let call = Call::get("list environment variables", path(service));
        let variables: Vec<Variable> = self.list(cx, call, None).await?;
        self.hide(variables.iter().map(|variable| &variable.value))?;
        Ok(variables)
    }

    /// Sets one environment variable. The others stay as they are.
    pub async fn set_env_var(
        &self,
        cx: &Context,
        service: &ServiceId,
        key: &str,
        value: &Secret,
    ) -> Result<()> {
        let segments = ["services", service.as_str(), "env-vars", key];
        let call = Call::new("set an environment variable", Method::Put, segments)
            .with_json(&json!({ "value": value.expose() }))?;
        self.send_values(cx, call, [value]).await.map(drop)
    }

    /// Deletes one environment variable. One that is not there is deleted already.
    pub async fn delete_env_var(&self, cx: &Context, service: &ServiceId, key: &str) -> Result<()> {
        let segments = ["services", service.as_str(), "env-vars", key];
        let call = Call::new("delete an environment variable", Method::Delete, segments);
        self.done(cx, &call.accepting(GONE)).await
    }

    /// Makes these the only environment variables of the service, and gives what it has then. All
    /// others are deleted, and nobody can bring them back.
    ///
    /// # Errors
    /// An answer that cannot be read shows nothing of itself.
    pub async fn replace_all_env_vars(
        &self,
        cx: &Context,
        service: &ServiceId,
        variables: &BTreeMap<String, Secret>,
    ) -> Result<Vec<Variable>> {
        let body: Vec<_> = variables
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value.expose() }))
            .collect();
        let operation = "replace all environment variables";
        let call = Call::new(operation, Method::Put, path(service)).with_json(&body)?;
        list::whole(operation, &self.send_values(cx, call, variables.values()).await?)
    }

    /// The service's own secret files.
    ///
    /// # Errors
    /// An answer that cannot be read shows nothing of itself.
    pub async fn secret_files(&self, cx: &Context, service: &ServiceId) -> Result<Vec<SecretFile>> {
        let segments = ["services", service.as_str(), "secret-files"];
        let call = Call::get("list secret files", segments);
        let files: Vec<SecretFile> = self.list(cx, call, None).await?;
        self.hide(files.iter().map(|file| &file.content))?;
        Ok(files)
    }

    /// Writes one secret file. The others stay as they are.
    pub async fn put_secret_file(
        &self,
        cx: &Context,
        service: &ServiceId,
        name: &str,
        content: &Secret,
    ) -> Result<()> {
        let segments = ["services", service.as_str(), "secret-files", name];
        let call = Call::new("write a secret file", Method::Put, segments)
            .with_json(&json!({ "content": content.expose() }))?;
        self.send_values(cx, call, [content]).await.map(drop)
    }

    /// Deletes one secret file. One that is not there is deleted already.
    pub async fn delete_secret_file(
        &self,
        cx: &Context,
        service: &ServiceId,
        name: &str,
    ) -> Result<()> {
        let segments = ["services", service.as_str(), "secret-files", name];
        let call = Call::new("delete a secret file", Method::Delete, segments);
        self.done(cx, &call.accepting(GONE)).await
    }

    /// Lets no refusal repeat what was read.
    fn hide<'a>(&self, values: impl Iterator<Item = &'a Secret>) -> Result<()> {
        let named = values
            .enumerate()
            .map(|(at, value)| Ok((SecretName::new(format!("SECRET_{at}"))?, value.clone())));
        self.api.hide(Redactor::new(&named.collect::<Result<Secrets>>()?));
        Ok(())
    }

    /// Makes a call that carries values, and lets no refusal repeat them.
    async fn send_values<'a>(
        &self,
        cx: &Context,
        call: Call,
        values: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Reply> {
        self.send(cx, &call.with_secrets(values)?).await
    }
}

fn path(service: &ServiceId) -> [&str; 3] {
    ["services", service.as_str(), "env-vars"]
}
