//! Image references: `[registry/]repository[:tag][@digest]`, or an id.

/// A reference, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Registry and repository.
    pub(crate) repository: &'a str,
    /// The tag, if any.
    pub(crate) tag: Option<&'a str>,
    /// The digest (`sha256:…`), if any.
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart; nothing for an image's id.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.starts_with("sha256:") {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last `/` is that of a registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        (!repository.is_empty()).then_some(Self { repository, tag, digest })
    }

    /// What is pulled: the digest, or the tag, or `latest`; never all tags.
    pub(crate) fn version(&self) -> &'a str {
        self.digest.or(self.tag).unwrap_or("latest")
    }

    /// Whether both name the same repository, however Docker Hub is written.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        familiar(self.repository) == familiar(other.repository)
    }
}

fn familiar(repository: &str) -> &str {
    let repository = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|hub| repository.strip_prefix(hub))
        .unwrap_or(repository);
    repository.strip_prefix("library/").unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (text, repository, tag, digest) in [
            ("redis", "redis", None, None),
            ("redis:6.2-alpine", "redis", Some("6.2-alpine"), None),
            ("localhost:5000/a/b", "localhost:5000/a/b", None, None),
            ("localhost:5000/a/b:1", "localhost:5000/a/b", Some("1"), None),
            ("a@sha256:00", "a", None, Some("sha256:00")),
            ("a:1@sha256:00", "a", Some("1"), Some("sha256:00")),
        ] {
            assert_eq!(Reference::parse(text), Some(Reference { repository, tag, digest }));
        }
        assert_eq!(Reference::parse("sha256:00"), None);
        assert_eq!(Reference::parse(""), None);
    }

    #[test]
    fn one_version_is_pulled() {
        for (text, version) in [("a", "latest"), ("a:1", "1"), ("a:1@sha256:0", "sha256:0")] {
            assert_eq!(Reference::parse(text).unwrap().version(), version);
        }
    }

    #[test]
    fn docker_hub_has_many_names() {
        let is_of = |a, b| Reference::parse(a).unwrap().is_of(&Reference::parse(b).unwrap());
        assert!(is_of("redis:6", "docker.io/library/redis@sha256:0"));
        assert!(is_of("acme/web", "index.docker.io/acme/web"));
        assert!(!is_of("redis", "ghcr.io/library/redis"));
    }
}
