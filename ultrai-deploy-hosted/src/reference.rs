//! Image references, as different parties write the same one.

/// The long form of a reference: host, repository, and a tag or digest. `nginx` is
/// `docker.io/library/nginx:latest` (the reference grammar of the distribution project).
pub(crate) fn canonical(reference: &str) -> String {
    let (name, rest) = match reference.split_once('@') {
        // With a digest the tag means nothing.
        Some((name, digest)) => (without_tag(name), format!("@{digest}")),
        None => match tag(reference) {
            Some((name, tag)) => (name, format!(":{tag}")),
            None => (reference, ":latest".to_owned()),
        },
    };
    let (host, repository) = match name.split_once('/') {
        Some((host, repository)) if is_host(host) => (host, repository),
        _ => ("docker.io", name),
    };
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let library = if host == "docker.io" && !repository.contains('/') { "library/" } else { "" };
    format!("{host}/{library}{repository}{rest}")
}

/// The digest that a reference names.
pub(crate) fn digest(reference: &str) -> Option<&str> {
    reference.split_once('@').map(|(_, digest)| digest)
}

/// A reference with this digest instead of a tag.
pub(crate) fn pinned(reference: &str, digest: &str) -> String {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    format!("{}@{digest}", without_tag(name))
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

fn tag(reference: &str) -> Option<(&str, &str)> {
    // A colon before a slash is that of a port.
    reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
}

fn without_tag(name: &str) -> &str {
    tag(name).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::{canonical, pinned};

    #[test]
    fn a_digest_takes_the_place_of_a_tag() {
        for reference in ["ghcr.io/shop/web:1", "ghcr.io/shop/web", "ghcr.io/shop/web:1@sha256:ab"]
        {
            assert_eq!(pinned(reference, "sha256:cd"), "ghcr.io/shop/web@sha256:cd");
        }
        assert_eq!(pinned("127.0.0.1:5000/web", "sha256:cd"), "127.0.0.1:5000/web@sha256:cd");
    }

    #[test]
    fn the_same_image_has_one_long_form() {
        for (written, long) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("docker.io/nginx:1.27", "docker.io/library/nginx:1.27"),
            ("docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"),
            ("index.docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"),
            ("shop/web:1.4.0", "docker.io/shop/web:1.4.0"),
            ("ghcr.io/shop/web", "ghcr.io/shop/web:latest"),
            ("localhost/web:1", "localhost/web:1"),
            ("127.0.0.1:5000/web", "127.0.0.1:5000/web:latest"),
            ("127.0.0.1:5000/web:1", "127.0.0.1:5000/web:1"),
            ("ghcr.io/shop/web:1@sha256:ab", "ghcr.io/shop/web@sha256:ab"),
            ("ghcr.io/shop/web@sha256:ab", "ghcr.io/shop/web@sha256:ab"),
        ] {
            assert_eq!(canonical(written), long, "{written}");
        }
    }
}
