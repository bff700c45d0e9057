//! Buckets: where their credentials come from, and how long a request may take.

use std::{str::FromStr, sync::Arc, time::Duration};

#[cfg(feature = "s3")]
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
#[cfg(feature = "azure")]
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
#[cfg(feature = "google")]
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use ultrai_deploy_core::{Error, ErrorKind, Result};
#[cfg(feature = "s3")]
use url::Host;
use url::Url;

use super::{Location, OPEN, Options, Variables, invalid, prefix};

/// Longest time until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// S3, or another service that speaks its protocol.
#[cfg(feature = "s3")]
pub(super) fn s3(url: &Url, options: &Options) -> Result<Location> {
    let variables = &options.variables;
    let has = |name: &&str| variables.has(name);
    let has_keys = has(&"AWS_ACCESS_KEY_ID") && has(&"AWS_SECRET_ACCESS_KEY");
    let others = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_METADATA_ENDPOINT",
    ];
    if !has_keys && !others.iter().any(has) && !variables.is_true("AWS_SKIP_SIGNATURE") {
        let missing = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let missing: Vec<_> = missing.into_iter().filter(|name| !has(name)).collect();
        return Err(lacks(&missing).with_advice(
            "set them; for the role of an EC2 instance set \
             AWS_METADATA_ENDPOINT=http://169.254.169.254",
        ));
    }
    let endpoint = variables.get("AWS_ENDPOINT_URL_S3").or(variables.get("AWS_ENDPOINT_URL"));
    if endpoint.is_none() && !["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(has) {
        return Err(lacks(&["AWS_REGION"]).with_advice("set it to the region of the bucket"));
    }
    let mut builder = AmazonS3Builder::new();
    for (key, value) in variables.settings::<AmazonS3ConfigKey>("AWS_") {
        builder = builder.with_config(key, value);
    }
    let mut allows_http = false;
    if let Some(endpoint) = endpoint {
        allows_http = http_allowed(endpoint, variables.is_true("AWS_ALLOW_HTTP"))?;
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder
        .with_client_options(client(options).with_allow_http(allows_http))
        .with_retry(retry(options))
        .with_bucket_name(bucket(url)?)
        .build()
        .map_err(unusable)?;
    Ok(Location { store: Arc::new(store), prefix: prefix(url)? })
}

/// Google Cloud Storage.
#[cfg(feature = "google")]
pub(super) fn google(url: &Url, options: &Options) -> Result<Location> {
    let variables = &options.variables;
    let known = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ];
    let is_anonymous = variables.is_true("GOOGLE_SKIP_SIGNATURE");
    if !known.iter().any(|name| variables.has(name)) && !is_anonymous {
        return Err(lacks(&known[..1]).with_advice("set it to the file of a service account's key"));
    }
    let mut builder = GoogleCloudStorageBuilder::new();
    for (key, value) in variables.settings::<GoogleConfigKey>("GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    let store = builder
        .with_client_options(client(options))
        .with_retry(retry(options))
        .with_bucket_name(bucket(url)?)
        .build()
        .map_err(unusable)?;
    Ok(Location { store: Arc::new(store), prefix: prefix(url)? })
}

/// Azure Blob Storage.
#[cfg(feature = "azure")]
pub(super) fn azure(url: &Url, options: &Options) -> Result<Location> {
    let variables = &options.variables;
    if !variables.has("AZURE_STORAGE_ACCOUNT_NAME") {
        return Err(lacks(&["AZURE_STORAGE_ACCOUNT_NAME"]).with_advice("set it"));
    }
    let known = [
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_MSI_ENDPOINT",
        "AZURE_IDENTITY_ENDPOINT",
    ];
    if !known.iter().any(|name| variables.has(name)) && !variables.is_true("AZURE_SKIP_SIGNATURE") {
        return Err(
            lacks(&known[..1]).with_advice(format!("set it, or one of {}", known[1..].join(", ")))
        );
    }
    let mut builder = MicrosoftAzureBuilder::new();
    for (key, value) in variables.settings::<AzureConfigKey>("AZURE_") {
        builder = builder.with_config(key, value);
    }
    let store = builder
        .with_client_options(client(options))
        .with_retry(retry(options))
        .with_container_name(bucket(url)?)
        .build()
        .map_err(unusable)?;
    Ok(Location { store: Arc::new(store), prefix: prefix(url)? })
}

fn client(options: &Options) -> ClientOptions {
    ClientOptions::new().with_timeout(options.request_timeout).with_connect_timeout(CONNECT_TIMEOUT)
}

fn retry(options: &Options) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: options.retries,
        retry_timeout: options.retry_time,
    }
}

fn bucket(url: &Url) -> Result<&str> {
    url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| {
        invalid("the store's address names no bucket")
            .with_advice(format!("write {}://BUCKET/PREFIX", url.scheme()))
    })
}

/// Whether an endpoint is without TLS: never one that is elsewhere, unless somebody insists.
#[cfg(feature = "s3")]
fn http_allowed(endpoint: &str, insists: bool) -> Result<bool> {
    let endpoint = Url::parse(endpoint)
        .map_err(|source| invalid("AWS_ENDPOINT_URL is no URL").with_source(source))?;
    let is_here = match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match endpoint.scheme() {
        "https" => Ok(false),
        "http" if is_here || insists => Ok(true),
        "http" => Err(invalid("AWS_ENDPOINT_URL is http:// and leads to another host")
            .with_advice("use https://, or set AWS_ALLOW_HTTP=true where nobody can listen")),
        _ => Err(invalid("AWS_ENDPOINT_URL is neither http:// nor https://")),
    }
}

fn lacks(variables: &[&str]) -> Error {
    let verb = if variables.len() == 1 { "is" } else { "are" };
    invalid(&format!("{} {verb} not set", variables.join(" and ")))
}

/// The builder's own message may quote what it could not read: a key.
fn unusable(error: object_store::Error) -> Error {
    drop(error);
    Error::new(ErrorKind::Invalid, OPEN, "the store's credentials or settings cannot be used")
        .with_advice("look at the variables that begin with AWS_, GOOGLE_ or AZURE_")
        .without_effect()
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "true" | "1" | "TRUE" | "True"))
    }

    /// The settings among those that begin with `prefix`.
    fn settings<K: FromStr>(&self, prefix: &str) -> impl Iterator<Item = (K, &str)> {
        self.0.iter().filter_map(move |(name, value)| {
            let key = name.starts_with(prefix).then(|| name.to_ascii_lowercase())?;
            Some((key.parse().ok()?, value.as_str()))
        })
    }
}
