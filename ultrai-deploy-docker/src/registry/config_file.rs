//! Docker's own `config.json`: logins, and the helpers that keep them.

use std::{collections::BTreeMap, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use ultrai_deploy_core::{
    error::{Error, Result},
    secret::Secret,
};

use super::{Credentials, host, invalid};

/// What it says about registries. No `Debug`: it may hold passwords.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Reads it; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<ConfigFile>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(broken(path, "it cannot be read").with_source(error));
        }
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    // The parser's own words may quote a value, which may be a password: only its place is told.
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        broken(path, &format!("it is not of the form that Docker writes, at {line}:{column}"))
    })
}

/// The error with the file that is to blame.
pub(super) fn named_in(error: Error, path: &Path) -> Error {
    error.at(Some(&path.display().to_string()))
}

impl ConfigFile {
    /// The helper that keeps the login of a registry.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.helpers.iter().flatten().find(|(key, _)| host::of_key(key) == registry);
        let own = own.map(|(_, name)| name);
        own.or(self.store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The login of a registry that stands in the file itself.
    pub(super) fn login(&self, path: &Path, registry: &str) -> Result<Option<Credentials>> {
        let exact = host::to_key(registry);
        let mut entries = self.auths.iter().flatten();
        let entry = entries
            .clone()
            .find(|(key, _)| *key == exact)
            .or_else(|| entries.find(|(key, _)| host::of_key(key) == registry));
        let Some((key, Some(entry))) = entry else { return Ok(None) };
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = some(&entry.identitytoken) {
            return Ok(Some(Credentials::identity(registry, Secret::new(token))));
        }
        if let Some(token) = some(&entry.registrytoken) {
            return Ok(Some(Credentials::bearer(registry, Secret::new(token))));
        }
        if let Some(auth) = some(&entry.auth) {
            let (username, password) = decode(&auth).ok_or_else(|| {
                broken(path, &format!("`auth` of {key} is not base64 of user:password"))
            })?;
            return Ok(Some(Credentials::password(registry, &username, password)));
        }
        Ok(some(&entry.username).zip(some(&entry.password)).map(|(username, password)| {
            Credentials::password(registry, &username, Secret::new(password))
        }))
    }
}

fn decode(auth: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker cuts these off, too.
    Some((username.to_owned(), Secret::new(password.trim_matches('\0'))))
}

fn broken(path: &Path, what: &str) -> Error {
    invalid(format!("{}: {what}", path.display())).with_advice(
        "mend it, or move it away and `docker login` again; DOCKER_CONFIG names another directory",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};
    use tempfile::TempDir;
    use ultrai_deploy_core::ErrorKind;

    use super::*;

    fn file(value: &Value) -> ConfigFile {
        ConfigFile::deserialize(value).unwrap()
    }

    fn login(value: &Value, registry: &str) -> Value {
        let found = file(value).login(Path::new("c"), registry).unwrap();
        serde_json::to_value(found.map(|found| found.to_docker())).unwrap()
    }

    #[test]
    fn logins_are_found_however_their_keys_are_written() {
        let auth = STANDARD.encode("shop:a:b\0");
        let auths = json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": auth },
            "https://Registry.example.com/v2/": { "username": "u", "password": "p" },
            "ghcr.io": { "auth": auth, "identitytoken": "it" },
            "quay.io": { "registrytoken": "rt" },
            "empty.io": {},
            "null.io": null,
        }});
        let hub = login(&auths, "docker.io");
        assert_eq!((&hub["username"], &hub["password"]), (&json!("shop"), &json!("a:b")));
        assert_eq!(hub["serveraddress"], "https://index.docker.io/v1/");
        assert_eq!(login(&auths, "registry.example.com")["password"], "p");
        assert_eq!(login(&auths, "ghcr.io")["identitytoken"], "it");
        assert_eq!(login(&auths, "quay.io")["registrytoken"], "rt");
        for nothing in ["empty.io", "null.io", "elsewhere.io"] {
            assert_eq!(login(&auths, nothing), Value::Null, "{nothing}");
        }
    }

    #[test]
    fn a_registry_s_own_helper_goes_before_the_store() {
        let both = file(&json!({
            "credsStore": "pass", "credHelpers": { "https://ghcr.io": "gh", "none.io": "" },
        }));
        assert_eq!(both.helper("ghcr.io"), Some("gh"));
        assert_eq!(both.helper("quay.io"), Some("pass"));
        assert_eq!(both.helper("none.io"), None);
        assert_eq!(file(&json!({ "credHelpers": null })).helper("quay.io"), None);
    }

    #[test]
    fn a_broken_file_is_named_and_no_value_of_it_is_told() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("config.json");
        assert!(read(&path).unwrap().is_none());
        for broken in
            ["{\"auths\": \"hunter2\"}", "{\"auths\": {\"a\": {\"auth\": 17}}}", "hunter2"]
        {
            fs::write(&path, broken).unwrap();
            let error = read(&path).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = format!("{} {error:?}", ultrai_deploy_core::Chain(&error));
            assert!(text.contains("config.json") && !text.contains("hunter2"), "{text}");
            assert!(error.advice().unwrap().contains("docker login"), "{error}");
        }
        let auths = json!({ "auths": { "ghcr.io": { "auth": "hunter2!" } } });
        let error = file(&auths).login(&path, "ghcr.io").unwrap_err();
        assert!(error.message().contains("`auth` of ghcr.io"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
