//! What names an image or a commit so that a platform finds exactly that.

use ultrai_deploy_core::{Error, Result};

use crate::config::backend::invalid;

/// The reference of an image, in the form that registries know.
pub(super) fn image(text: &str) -> Result<String> {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(wrong(
            text,
            "what comes after `@` is no digest",
            "write @sha256:… with 64 digits",
        ));
    }
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match named[last..].split_once(':') {
        Some((name, tag)) => (&named[..last + name.len()], Some(tag)),
        None => (named, None),
    };
    if text.contains("://") {
        return Err(wrong(text, "it is a URL", "write it without the https://"));
    }
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        let what = format!("`{tag}` is no tag");
        let remedy = "use letters, digits, `.`, `_` and `-`, at most 128; a version with `+` in it \
                      needs another tag";
        return Err(wrong(text, &what, remedy));
    }
    let mut parts: Vec<_> = path.split('/').collect();
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    if parts.len() > 1 && is_registry(parts[0]) {
        parts.remove(0);
    }
    if !parts.iter().all(|part| is_name(part)) {
        let remedy = "write it as ghcr.io/shop/api:1.4.0, the name in lower case";
        return Err(wrong(text, "registries know no such name", remedy));
    }
    Ok(text.to_owned())
}

/// A commit by its whole id: platforms report that, and it is compared with what was asked for.
pub(super) fn commit(text: &str) -> Result<String> {
    if [40, 64].contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(text.to_lowercase());
    }
    Err(invalid(format!("\"{}\" is no whole id of a commit", text.escape_default()))
        .with_advice("write all 40 digits, as `git rev-parse HEAD` tells them; no branch, no tag"))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    })
}

fn is_tag(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(is_first)
        && text.chars().all(|c| is_first(c) || matches!(c, '.' | '-'))
}

fn is_name(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.chars().all(|c| is_end(c) || matches!(c, '.' | '_' | '-'))
}

fn wrong(text: &str, what: &str, remedy: &str) -> Error {
    invalid(format!("\"{}\" is no image: {what}", text.escape_default())).with_advice(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_registries_know() {
        let digest = format!("ghcr.io/shop/api@sha256:{}", "0a".repeat(32));
        for good in [
            "nginx",
            "nginx:1.27-alpine",
            "shop/api:v1.4.0",
            "ghcr.io/shop/api:1.4.0",
            "localhost:5000/api",
            "Registry.Example:5000/shop/my__api:x",
            digest.as_str(),
        ] {
            assert_eq!(image(good).unwrap(), good);
        }
        for (wrong, told) in [
            ("", "no such name"),
            ("api:", "`` is no tag"),
            ("ghcr.io/Shop/api:1", "in lower case"),
            ("https://ghcr.io/shop/api:1", "without the https://"),
            ("shop/api:1.0.0+7", "with `+`"),
            ("shop/api@sha256:12", "no digest"),
            ("shop//api", "no such name"),
            ("shop/api 1", "no such name"),
        ] {
            let error = image(wrong).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn commits_by_their_whole_ids() {
        let whole = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit(&whole.to_uppercase()).unwrap(), whole);
        for wrong in ["main", "0123456", "", &whole.replace('0', "g")] {
            assert!(commit(wrong).is_err(), "{wrong}");
        }
    }
}
