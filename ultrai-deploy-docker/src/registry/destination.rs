//! Where built images are pushed.

use std::fmt;

use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    spec::ReleaseSpec,
    version::Version,
};

use super::host;
use crate::image::Reference;

/// A registry, and a path in it, below which built images are pushed: `registry.example.com/shop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(String);

impl Destination {
    /// Reads `registry[:port][/path]`; a scheme before it is cut off, for which one is used is a
    /// setting of the engine.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it names no registry, or something else than one.
    pub fn parse(text: &str) -> Result<Self> {
        let bare = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let bare = bare.unwrap_or(text).trim_end_matches('/');
        let (first, path) = bare.split_once('/').unwrap_or((bare, ""));
        let is_part = |part: &str| {
            let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            let is_inside =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            is_end(part.chars().next())
                && is_end(part.chars().last())
                && part.chars().all(is_inside)
        };
        let (name, port) = first.split_once(':').unwrap_or((first, "0"));
        let is_registry = host::is_host(first)
            && port.parse::<u16>().is_ok()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
            && !name.is_empty();
        let is_path = path.is_empty() || path.split('/').all(is_part);
        if is_registry && is_path {
            return Ok(Self(bare.to_owned()));
        }
        let message = format!("\"{}\" is no registry to push to", text.escape_default());
        Err(Error::new(ErrorKind::Invalid, "push an image", message)
            .with_advice("write \"registry.example.com/shop\", with a port where it has its own")
            .without_effect())
    }

    /// Under which reference an image that is built as `reference` is pushed. One that is in this
    /// registry already keeps its name; any other keeps its path, below this one. Without a tag it
    /// gets the version.
    pub fn reference(&self, reference: &str, version: &Version) -> Option<String> {
        let local = Reference::parse(reference).filter(|local| local.digest.is_none())?;
        let tag = local.tag.map_or_else(|| version.as_str().replace('+', "_"), str::to_owned);
        let path = match local.repository.split_once('/') {
            Some((first, path)) if host::is_host(first) => path,
            _ => local.repository,
        };
        let is_below =
            local.repository.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'));
        Some(if is_below {
            format!("{}:{tag}", local.repository)
        } else {
            format!("{self}/{path}:{tag}")
        })
    }

    /// Has all images that `spec` builds pushed here.
    pub fn push(&self, spec: &mut ReleaseSpec) {
        let version = spec.version.clone();
        for image in spec.services.values_mut().filter_map(|service| service.image.as_mut()) {
            if image.build.is_some() {
                image.push = self.reference(&image.reference, &version);
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_its_path_below_the_registry() {
        let version = Version::parse("1.4.0+build.7").unwrap();
        let to = |registry: &str, reference: &str| {
            Destination::parse(registry).unwrap().reference(reference, &version).unwrap()
        };
        assert_eq!(to("r.io/shop", "web:v1"), "r.io/shop/web:v1");
        assert_eq!(to("https://r.io/shop/", "shop-web"), "r.io/shop/shop-web:1.4.0_build.7");
        assert_eq!(to("r.io", "acme/web:v1"), "r.io/acme/web:v1");
        assert_eq!(to("127.0.0.1:5000", "ghcr.io/acme/web:v1"), "127.0.0.1:5000/acme/web:v1");
        assert_eq!(to("r.io/shop", "r.io/shop/web:v1"), "r.io/shop/web:v1");
        assert_eq!(to("r.io/shop", "r.io/shopping/web:v1"), "r.io/shop/shopping/web:v1");
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for wrong in
            ["", "shop", "r.io/Shop", "r.io/a//b", "r.io:x", "ftp://r.io", "r.io/web:1", "u@r.io"]
        {
            let error = Destination::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        }
    }
}
