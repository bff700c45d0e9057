//! Variables.

use std::collections::BTreeMap;

use serde_json::json;
use ultrai_deploy_core::{Context, Result, secret::Secret};

use super::Client;
use crate::{
    documents,
    graphql::{self, Request},
    model::{Deploys, Variables, VariablesOf, variable::ExposedMap},
};

impl Client {
    /// The variables of a service, or those that all services of an environment share, with their
    /// references as they were written.
    ///
    /// # Errors
    /// As [`Client`] says; none shows a value.
    pub async fn variables(&self, cx: &Context, of: &VariablesOf) -> Result<Variables> {
        let variables = json!({
            "projectId": of.project, "environmentId": of.environment, "serviceId": of.service,
        });
        let request = Request::new(documents::VARIABLES, variables).with_secret_answer();
        let found: Variables = self.graphql.send(cx, &request).await?;
        let values = found.0.values().flatten();
        self.graphql.api.hide(graphql::redactor(values)?);
        Ok(found)
    }

    /// Sets variables; others stay as they are.
    ///
    /// A second time changes nothing more, unless it deploys.
    ///
    /// # Errors
    /// As [`Client`] says; none shows a value.
    pub async fn upsert_variables(
        &self,
        cx: &Context,
        of: &VariablesOf,
        values: &BTreeMap<String, Secret>,
        deploys: Deploys,
    ) -> Result<()> {
        self.set_variables(cx, of, values, deploys, false).await
    }

    /// Sets variables and deletes all others, sealed ones included, which nobody can read back.
    ///
    /// # Errors
    /// As [`Client::upsert_variables`].
    pub async fn replace_all_variables(
        &self,
        cx: &Context,
        of: &VariablesOf,
        values: &BTreeMap<String, Secret>,
        deploys: Deploys,
    ) -> Result<()> {
        self.set_variables(cx, of, values, deploys, true).await
    }

    async fn set_variables(
        &self,
        cx: &Context,
        of: &VariablesOf,
        values: &BTreeMap<String, Secret>,
        deploys: Deploys,
        replace: bool,
    ) -> Result<()> {
        let input = json!({
            "projectId": of.project,
            "environmentId": of.environment,
            "serviceId": of.service,
            "variables": ExposedMap(values),
            "replace": replace,
            "skipDeploys": deploys.are_skipped(),
        });
        let request = Request::new(documents::UPSERT_VARIABLES, json!({ "input": input }));
        let request = request.with_secrets(values.values())?;
        let request = if deploys.are_skipped() { request.keyed() } else { request };
        self.graphql.confirm(cx, &request).await
    }

    /// Deletes a variable. Railway has no way to skip the deployments that follow from it.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn delete_variable(&self, cx: &Context, of: &VariablesOf, name: &str) -> Result<()> {
        let input = json!({
            "projectId": of.project,
            "environmentId": of.environment,
            "serviceId": of.service,
            "name": name,
        });
        let request = Request::new(documents::DELETE_VARIABLE, json!({ "input": input }));
        self.graphql.confirm(cx, &request).await
    }
}
