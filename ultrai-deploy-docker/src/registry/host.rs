//! Names of registries: in image references, and as keys of Docker's configuration.

/// What Docker's configuration and credential helpers call Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB: &str = "docker.io";

/// The registry of a repository: `docker.io` where it names none.
pub(crate) fn of_repository(repository: &str) -> String {
    match repository.split_once('/') {
        Some((first, _)) if is_host(first) => of_key(first),
        _ => HUB.to_owned(),
    }
}

/// The registry that a key means, which may be written with a scheme and a path.
pub(crate) fn of_key(key: &str) -> String {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest).to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" | HUB => HUB.to_owned(),
        _ => host,
    }
}

/// What credential helpers and the engine call a registry.
pub(crate) fn to_key(host: &str) -> &str {
    if host == HUB { HUB_KEY } else { host }
}

/// Whether the first part of a repository is a registry, by the grammar of references.
pub(super) fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_however_it_is_written() {
        for (key, host) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("https://Registry.example.com/v2/", "registry.example.com"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert_eq!(of_key(key), host, "{key}");
        }
        assert_eq!(to_key("docker.io"), HUB_KEY);
        assert_eq!(to_key("ghcr.io"), "ghcr.io");
    }

    #[test]
    fn a_repository_without_a_registry_is_docker_hub_s() {
        for (repository, host) in [
            ("redis", "docker.io"),
            ("shop/web", "docker.io"),
            ("docker.io/shop/web", "docker.io"),
            ("localhost/web", "localhost"),
            ("127.0.0.1:5000/web", "127.0.0.1:5000"),
            ("ghcr.io/shop/web", "ghcr.io"),
        ] {
            assert_eq!(of_repository(repository), host, "{repository}");
        }
    }
}
