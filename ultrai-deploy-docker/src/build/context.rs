//! The build context: what is sent to the builder, and where in it the Dockerfile is.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use ultrai_deploy_core::{
    digest,
    error::{Error, ErrorKind, Result},
};

use super::{bases::bases, ignore::Rules};

const DOCKERIGNORE: &str = ".dockerignore";
const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// A directory to build from, checked: it is there, and so is its Dockerfile.
#[derive(Debug)]
pub(crate) struct BuildContext {
    pub(super) directory: PathBuf,
    pub(super) rules: Rules,
    pub(super) dockerfile: Dockerfile,
}

/// Where the Dockerfile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dockerfile {
    /// In the context, at this path.
    Inside(String),
    /// Not in the context: sent under a name made from its content, so that the same content is
    /// the same context.
    Added { name: String, content: Vec<u8> },
}

impl BuildContext {
    /// The context of `service` in `directory`, an absolute path. `dockerfile` is relative to it,
    /// may lie outside, and is `Dockerfile` when not given; `inline` is used in its place.
    ///
    /// Reads a few small files: call it where blocking is fine.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming the service and the path of what is missing, is no directory,
    /// or cannot be understood.
    pub(crate) fn open(
        service: &str,
        directory: &Path,
        dockerfile: Option<&str>,
        inline: Option<&str>,
    ) -> Result<Self> {
        if !directory.is_dir() {
            let message =
                format!("the build context {} of {service} is no directory", directory.display());
            return Err(invalid(message).with_advice("correct `build.context`"));
        }
        let named = dockerfile.unwrap_or(DEFAULT_DOCKERFILE);
        let path = directory.join(named);
        let dockerfile = match (inline, inside(named, directory)) {
            (Some(text), _) => Dockerfile::added(text.as_bytes().to_vec()),
            (None, Some(relative)) if is_plain_file(&path) => Dockerfile::Inside(relative),
            (None, _) => {
                let content = std::fs::read(&path).map_err(|source| {
                    invalid(format!(
                        "the Dockerfile {} of {service} cannot be read",
                        path.display()
                    ))
                    .with_advice("correct `build.dockerfile`")
                    .with_source(source)
                })?;
                Dockerfile::added(content)
            }
        };
        let own_ignore_file = inline.is_none().then(|| {
            let mut name = path.clone().into_os_string();
            name.push(DOCKERIGNORE);
            PathBuf::from(name)
        });
        let mut rules = rules(own_ignore_file.as_deref(), &directory.join(DOCKERIGNORE))?;
        rules.always_send(DOCKERIGNORE);
        if let Dockerfile::Inside(relative) = &dockerfile {
            rules.always_send(relative);
        }
        Ok(Self { directory: directory.to_owned(), rules, dockerfile })
    }

    /// The path of the Dockerfile in what is sent.
    pub(crate) fn dockerfile(&self) -> &str {
        match &self.dockerfile {
            Dockerfile::Inside(path) => path,
            Dockerfile::Added { name, .. } => name,
        }
    }

    /// The images that its builder pulls, as far as the Dockerfile tells.
    pub(crate) fn bases(&self) -> Vec<String> {
        let read;
        let content = match &self.dockerfile {
            Dockerfile::Added { content, .. } => content,
            Dockerfile::Inside(path) => {
                // One that cannot be read any more is the builder's to refuse.
                read = std::fs::read(self.directory.join(path)).unwrap_or_default();
                &read
            }
        };
        bases(&String::from_utf8_lossy(content))
    }

    /// The ignore file to send in place of the context's own, if one has to be: the builder reads
    /// it too and takes an added Dockerfile out again, so that no `COPY .` finds it.
    pub(super) fn added_ignore_file(&self) -> io::Result<Option<Vec<u8>>> {
        let Dockerfile::Added { name, .. } = &self.dockerfile else { return Ok(None) };
        let mut content = match std::fs::read(self.directory.join(DOCKERIGNORE)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => DOCKERIGNORE.into(),
            Err(error) => return Err(error),
        };
        content.extend_from_slice(format!("\n{name}\n").as_bytes());
        Ok(Some(content))
    }

    /// Whether `path` is sent in another form than it has in the directory.
    pub(super) fn is_replaced(&self, path: &str) -> bool {
        match &self.dockerfile {
            Dockerfile::Inside(_) => false,
            Dockerfile::Added { name, .. } => path == DOCKERIGNORE || path == name,
        }
    }
}

impl Dockerfile {
    fn added(content: Vec<u8>) -> Self {
        let digest = digest::sha256(&content);
        Self::Added { name: format!(".dockerfile.{}", &digest[..16]), content }
    }
}

/// The path in the context with `/` between its names, or nothing when it lies outside.
fn inside(named: &str, directory: &Path) -> Option<String> {
    let named = Path::new(named);
    let relative = if named.is_absolute() { named.strip_prefix(directory).ok()? } else { named };
    let mut path = Vec::new();
    for component in relative.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => path.push(name.to_str()?),
            Component::ParentDir => {
                path.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path.join("/"))
}

fn rules(own: Option<&Path>, shared: &Path) -> Result<Rules> {
    for path in own.into_iter().chain([shared]) {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let message = format!("{} cannot be read", path.display());
                return Err(invalid(message).with_source(error));
            }
        };
        return Rules::parse(&text).map_err(|source| {
            invalid(format!("{} has a pattern that means nothing", path.display()))
                .with_source(source)
        });
    }
    Ok(Rules::default())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "prepare the build", message).without_effect()
}

/// A link is sent as a link, which need not lead anywhere in the context: not plain.
fn is_plain_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}
