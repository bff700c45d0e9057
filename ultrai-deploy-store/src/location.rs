//! Where things are kept, by a URL.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use object_store::{
    ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, memory::InMemory, path::Path,
};
use ultrai_deploy_core::{Error, ErrorKind, Result};
use url::Url;

#[cfg(any(feature = "s3", feature = "google", feature = "azure"))]
mod bucket;

const OPEN: &str = "open the store";
const REACH: &str = "reach the store";
const LOOK_AT_THE_NETWORK: &str =
    "look at the endpoint, as AWS_ENDPOINT_URL has it, at the region and at the network";

/// How a [`Location`] is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The variables that credentials are found in, as the process has them: `AWS_…`, `GOOGLE_…`,
    /// `AZURE_…`. Nothing else is read, and nothing reads the environment by itself.
    pub variables: Variables,
    /// Longest time that one request may take, its content included: 2 min.
    pub request_timeout: Duration,
    /// How often a request is tried again that failed in a way that may pass: 5 times, with pauses
    /// from 0.1 s to 10 s.
    pub retries: usize,
    /// No request is tried again so long after its first try: 1 min.
    pub retry_time: Duration,
    /// Whether a directory will do that others can enter, because the caller has closed what is used
    /// below it: no.
    pub is_closed_below: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            variables: Variables::default(),
            request_timeout: Duration::from_mins(2),
            retries: 5,
            retry_time: Duration::from_mins(1),
            is_closed_below: false,
        }
    }
}

impl Options {
    /// The defaults with these variables.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: Variables(variables.into_iter().collect()), ..Self::default() }
    }
}

/// Variables of a process; their values are never shown.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A store, and where in it.
///
/// ```
/// use ultrai_deploy_store::{Location, location::Options};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let location = Location::open("memory:", &Options::default())?;
/// assert_eq!(location.prefix.as_ref(), "");
/// let error = Location::open("s3://backups/shop", &Options::default()).unwrap_err();
/// assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Location {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What all names in it begin with.
    pub prefix: Path,
}

impl Location {
    /// Opens what a URL names. No request is made.
    ///
    /// | URL | what |
    /// |---|---|
    /// | `/var/backups/shop`, `file:///var/backups/shop` | a directory; made when it is missing, for its owner only |
    /// | `s3://bucket/prefix` | S3, or what speaks its protocol at `AWS_ENDPOINT_URL` |
    /// | `gs://bucket/prefix` | Google Cloud Storage |
    /// | `az://container/prefix` | Azure Blob Storage |
    /// | `memory:` | memory, another one each time |
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no such URL or lacks a credential, naming it;
    /// [`ErrorKind::Unsupported`] when this program was built without what it needs;
    /// [`ErrorKind::Denied`] or [`ErrorKind::Io`] for a directory.
    pub fn open(url: &str, options: &Options) -> Result<Self> {
        if url.starts_with('/') {
            return directory(std::path::Path::new(url), options);
        }
        let parsed = Url::parse(url).map_err(|source| {
            invalid("the store's address is neither an absolute path nor a URL").with_source(source)
        })?;
        // The address itself is not shown: people write passwords into URLs.
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(invalid("the store's address has a user or a password in it")
                .with_advice("put credentials into variables, as AWS_SECRET_ACCESS_KEY"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(invalid("the store's address has a query or a fragment"));
        }
        match parsed.scheme() {
            "file" => {
                let path = parsed.to_file_path().map_err(|()| {
                    invalid("the store's address names a file of another host")
                        .with_advice("write file:///DIRECTORY, with three slashes")
                })?;
                directory(&path, options)
            }
            "memory" => Ok(Self { store: Arc::new(InMemory::new()), prefix: prefix(&parsed)? }),
            "s3" | "gs" | "az" => in_bucket(&parsed, options),
            scheme => Err(invalid(&format!("no store is known for {scheme}://"))
                .with_advice("use an absolute path, s3://, gs:// or az://")),
        }
    }

    /// Asks the store whether it is there and lets one in, and waits for an answer at most for `limit`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such bucket, [`ErrorKind::Denied`] when the credentials
    /// are refused, [`ErrorKind::Unavailable`] when nobody answers.
    pub async fn reach(&self, limit: Duration) -> Result<()> {
        let asked = async {
            let Err(error) = self.store.list_with_delimiter(Some(&self.prefix)).await else {
                return Ok(());
            };
            // The client says of a listing only that it failed. Where an object is not there and
            // nothing can be listed, there is no bucket.
            match self.store.head(&self.prefix.clone().join("none")).await {
                Ok(_) => Err(error),
                Err(told) => Err(told),
            }
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(unreached(source)),
            Err(_elapsed) => {
                let message = format!("it did not answer within {} s", limit.as_secs());
                Err(Error::new(ErrorKind::Unavailable, REACH, message)
                    .with_advice(LOOK_AT_THE_NETWORK)
                    .without_effect()
                    .retryable())
            }
        }
    }
}

fn unreached(source: object_store::Error) -> Error {
    use object_store::Error as Cause;
    let error = match &source {
        Cause::NotFound { .. } => Error::new(ErrorKind::NotFound, REACH, "there is no such bucket")
            .with_advice("make the bucket first, and look at its name in deploy.toml"),
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => {
            Error::new(ErrorKind::Denied, REACH, "it refuses the credentials").with_advice(
                "look at the credentials in the environment, and at what they allow: list, read, \
                 write and delete",
            )
        }
        _ => Error::new(ErrorKind::Unavailable, REACH, "it cannot be reached")
            .with_advice(LOOK_AT_THE_NETWORK)
            .retryable(),
    };
    error.without_effect().with_source(source)
}

#[cfg_attr(
    not(any(feature = "s3", feature = "google", feature = "azure")),
    expect(unused_variables, reason = "no bucket can be opened without these features")
)]
fn in_bucket(url: &Url, options: &Options) -> Result<Location> {
    #[cfg(feature = "s3")]
    if url.scheme() == "s3" {
        return bucket::s3(url, options);
    }
    #[cfg(feature = "google")]
    if url.scheme() == "gs" {
        return bucket::google(url, options);
    }
    #[cfg(feature = "azure")]
    if url.scheme() == "az" {
        return bucket::azure(url, options);
    }
    let message = format!("this program was built without {}://", url.scheme());
    Err(Error::new(ErrorKind::Unsupported, OPEN, message)
        .with_advice("build it with the features s3, google and azure")
        .without_effect())
}

/// One that only its owner gets into: what is in it needs no permissions of its own then.
fn directory(path: &std::path::Path, options: &Options) -> Result<Location> {
    let failed = |source: io::Error| {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Denied
            }
            _ => ErrorKind::Io,
        };
        Error::new(kind, OPEN, format!("the directory {}", path.display()))
            .with_source(source)
            .without_effect()
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            return Err(invalid(&format!("{} is no directory", path.display())));
        }
        Ok(_) if options.is_closed_below => {}
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            if fs::read_dir(path).map_err(failed)?.next().is_some() {
                let message = format!("{} can be read or written by others", path.display());
                return Err(invalid(&message).with_advice(format!(
                    "use a directory of its own, or close this one: chmod 700 {}",
                    path.display()
                )));
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            use std::os::unix::fs::DirBuilderExt as _;
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let store = LocalFileSystem::new_with_prefix(path).map_err(|source| {
        Error::new(ErrorKind::Io, OPEN, format!("the directory {}", path.display()))
            .with_source(source)
            .without_effect()
    })?;
    let store = store.with_fsync(true).with_automatic_cleanup(true);
    Ok(Location { store: Arc::new(store), prefix: Path::default() })
}

fn prefix(url: &Url) -> Result<Path> {
    Path::from_url_path(url.path().trim_matches('/')).map_err(|source| {
        invalid("the path in the store's address cannot be a prefix").with_source(source)
    })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, OPEN, message).without_effect()
}
