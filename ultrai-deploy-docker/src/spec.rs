//! From a loaded compose project to a release spec.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::{ProjectName, SecretName, ServiceName},
    spec::{ImageSpec, PullPolicy as Pull, ReleaseSpec, ServiceSpec},
    version::Version,
};

use crate::{
    compose::{
        config_hash,
        model::{MountKind, Project, PullPolicy, Service},
        secret,
    },
    definition::{Provenance, Shared, Wiring, joined_service},
    drift,
};

/// Label of a service that names, separated by commas, the paths in the container of bind mounts
/// that hold data: they are mounted where they lie instead of being copied into the release.
pub const DATA_LABEL: &str = "dev.ultrai.data";

/// The release spec of a compose project.
///
/// Files of the project that services mount become part of the release: `file:` secrets and
/// configs, and bind mounts from within the project directory that are a regular file or a
/// directory mounted read-only. They are mounted read-only from the release, so that a kept
/// container keeps the files that it was started with. Everything else that is bound is data: it
/// is mounted where it lies, and a rollback does not bring it back. A single file that a service
/// writes to is declared as data by [`DATA_LABEL`].
///
/// # Errors
/// [`ErrorKind::Invalid`] for names that cannot be used, for an undefined secret, config or
/// network, and for a secret in a label, which anyone with the engine's socket could read.
pub fn spec(project: &Project, version: Version) -> Result<ReleaseSpec> {
    let mut spec = ReleaseSpec::new(ProjectName::new(project.name.as_str())?, version);
    let (mut wiring, mut config_hashes) = (BTreeMap::new(), BTreeMap::new());
    for (key, service) in &project.services {
        let name = ServiceName::new(key.as_str())?;
        let own = Wiring { depends_on: service.depends_on.clone(), ..Wiring::default() };
        wiring.insert(name.clone(), own);
        if let Some(hash) = compose_hash(service)? {
            config_hashes.insert(name.clone(), hash);
        }
        if let Some(places) = project.places.get(key) {
            spec.places.insert(name.clone(), places.clone());
        }
        spec = spec.with_service(name, service_spec(project, key, service)?);
    }
    let shared = Shared {
        networks: project.networks.clone(),
        volumes: project.volumes.clone(),
        services: wiring,
        ..Shared::default()
    };
    spec.resources = json(&shared)?;
    if let Some(secret) = secret::names_in(&spec.resources.to_string()).first() {
        return Err(invalid(format!("a network or volume is described with the secret {secret}"))
            .with_advice("secrets can be used in a service's environment and commands"));
    }
    spec.provenance = json(&Provenance {
        working_dir: project.working_dir.clone(),
        config_files: project.config_files.clone(),
        config_hashes,
    })?;
    spec.sources.clone_from(&project.config_files);
    Ok(spec)
}

fn service_spec(project: &Project, key: &str, service: &Service) -> Result<ServiceSpec> {
    let reference = service.image.clone().unwrap_or_else(|| format!("{}-{key}", project.name));
    let image = ImageSpec {
        reference,
        build: service.build.as_ref().map(json).transpose()?,
        pull: match service.pull_policy {
            Some(PullPolicy::Always) => Pull::Always,
            Some(PullPolicy::Never | PullPolicy::Build) => Pull::Never,
            _ => Pull::Missing,
        },
        ..ImageSpec::default()
    };
    let data: Vec<&str> = service
        .labels
        .get(DATA_LABEL)
        .map_or("", String::as_str)
        .split(',')
        .map(str::trim)
        .collect();
    let mut config = Service {
        // The exact image, how it came to be, and the order of starting are told elsewhere: a
        // change of them alone replaces no container.
        image: None,
        build: None,
        pull_policy: None,
        depends_on: IndexMap::new(),
        stands_on: stands_on(project, service),
        ..service.clone()
    };
    let mut files = BTreeMap::new();
    for mount in config.volumes.iter_mut().filter(|mount| mount.kind == MountKind::Bind) {
        let Some(source) = mount.source.as_ref().map(PathBuf::from) else { continue };
        if data.contains(&mount.target.as_str())
            || !belongs_to_release(&project.working_dir, &source, mount.read_only)
        {
            continue;
        }
        mount.source = None;
        mount.read_only = true;
        mount.create_host_path = false;
        files.insert(mount.target.clone(), source);
    }
    let used = config.secrets.iter().map(|used| ("secret", used, &project.secrets));
    for (what, used, defined) in
        used.chain(config.configs.iter().map(|used| ("config", used, &project.configs)))
    {
        let object = defined.get(&used.source).ok_or_else(|| {
            invalid(format!("service {key} uses {what} {}, which is not defined", used.source))
        })?;
        files.insert(used.target.clone(), object.file.clone());
    }
    if let Some(network) = config.networks.keys().find(|key| !project.networks.contains_key(*key)) {
        return Err(invalid(format!("service {key} uses network {network}, which is not defined")));
    }
    if let Some((label, _)) =
        config.labels.iter().find(|(_, value)| !secret::names_in(value).is_empty())
    {
        return Err(invalid(format!("label {label} of service {key} holds a secret"))
            .with_advice("put it into the environment; labels can be read by anyone"));
    }
    let config = json(&config)?;
    let text = config.to_string();
    let secrets =
        secret::names_in(&text).into_iter().map(SecretName::new).collect::<Result<Vec<_>>>()?;
    let depends_on = service
        .depends_on
        .keys()
        .map(String::as_str)
        .chain(joined_service(service).filter(|name| !service.depends_on.contains_key(*name)))
        .filter(|needed| project.services.contains_key(*needed))
        .map(ServiceName::new)
        .collect::<Result<Vec<_>>>()?;
    Ok(ServiceSpec { image: Some(image), config, files, depends_on, secrets })
}

/// What a service uses of the project's networks and volumes, and what they are.
fn stands_on(project: &Project, service: &Service) -> BTreeMap<String, String> {
    let networks = service.networks.keys().filter_map(|key| project.networks.get(key));
    let networks =
        networks.map(|network| (format!("network {}", network.name), drift::of_network(network)));
    let mounts = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
    let volumes = mounts.filter_map(|mount| project.volumes.get(mount.source.as_ref()?));
    let volumes =
        volumes.map(|volume| (format!("volume {}", volume.name), drift::of_volume(volume)));
    networks.chain(volumes).collect()
}

/// The hash by which compose finds a service unchanged. None for one with secrets: the hash covers
/// their values, and a label can be read by anyone.
fn compose_hash(service: &Service) -> Result<Option<String>> {
    let holds_secrets = !secret::names_in(&json(service)?.to_string()).is_empty();
    Ok(if holds_secrets { None } else { config_hash(service) })
}

/// Whether what is bound is copied into the release.
fn belongs_to_release(project: &Path, source: &Path, read_only: bool) -> bool {
    let (Ok(project), Ok(source)) = (project.canonicalize(), source.canonicalize()) else {
        return false;
    };
    // The whole project directory is a development mount, not a set of files.
    source != project
        && source.starts_with(project)
        && (source.is_file() || (source.is_dir() && read_only))
}

fn json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| invalid("it has no JSON form").with_source(source))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read the compose project", message).without_effect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use ultrai_deploy_core::{
        current::{Current, Running, Serving},
        memory,
        release::{Image, Release, Seal},
        release_store::ReleaseStore,
    };

    use super::*;
    use crate::{
        compose::{self, Options},
        definition::Definition,
        plan::plan,
    };

    fn project(dir: &Path, services: &Value) -> Project {
        let mut project: Project = serde_json::from_value(json!({
            "name": "shop",
            "services": services,
            "networks": {"default": {"name": "shop_default"}},
            "secrets": {"key": {"file": dir.join("key.pem")}},
        }))
        .unwrap();
        project.working_dir = dir.to_owned();
        project
    }

    fn version() -> Version {
        Version::parse("v1.2.3").unwrap()
    }

    #[test]
    fn files_of_the_project_are_copied_and_data_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("app.conf"), "x").unwrap();
        fs::write(dir.path().join("acme.json"), "{}").unwrap();
        fs::create_dir_all(dir.path().join("static")).unwrap();
        fs::create_dir_all(dir.path().join("data")).unwrap();
        let bind = |source: &str, read_only: bool| {
            json!({
                "kind": "bind", "source": dir.path().join(source), "target": format!("/{source}"),
                "read_only": read_only, "create_host_path": true
            })
        };
        let spec = spec(
            &project(
                dir.path(),
                &json!({"web": {
                    "image": "web:1", "labels": {"dev.ultrai.data": "/acme.json"},
                    "volumes": [
                        bind("app.conf", false), bind("acme.json", false), bind("static", true),
                        bind("data", false), bind("missing", true),
                        {"kind": "bind", "source": "/etc/hosts", "target": "/h", "read_only": true}
                    ],
                    "secrets": [{"source": "key", "target": "/run/secrets/key"}]
                }}),
            ),
            version(),
        )
        .unwrap();
        let web = &spec.services[&ServiceName::new("web").unwrap()];
        let files: Vec<_> = web.files.keys().map(String::as_str).collect();
        assert_eq!(files, ["/app.conf", "/run/secrets/key", "/static"]);
        let config =
            crate::definition::read_service(&ServiceName::new("web").unwrap(), &web.config);
        let config = config.unwrap();
        let at = |target: &str| {
            config.volumes.iter().find(|mount| mount.target == target).unwrap().clone()
        };
        assert_eq!((at("/app.conf").source, at("/app.conf").read_only), (None, true));
        assert!(at("/data").source.is_some());
        assert!(at("/acme.json").source.is_some());
        assert!(
            !web.config.to_string().contains(&dir.path().join("app.conf").display().to_string())
        );
    }

    /// A release of a compose project that was checked out into `dir`.
    async fn sealed(dir: &Path, compose: &str) -> Release {
        fs::write(dir.join("compose.yaml"), compose).unwrap();
        fs::write(dir.join("app.conf"), "x").unwrap();
        let loaded = compose::load(&Options { path: dir.to_owned(), ..Options::default() });
        let spec = spec(&loaded.unwrap().project, version()).unwrap();
        let mut seal = Seal::default();
        for (name, service) in &spec.services {
            let image = Image { reference: "web:1".into(), id: "sha256:aa".into(), digest: None };
            seal.images.insert(name.clone(), image);
            let files = memory::ReleaseStore::default().put_files(&service.files).await.unwrap();
            seal.files.insert(name.clone(), files);
        }
        Release::seal(&spec, &seal).unwrap()
    }

    #[tokio::test]
    async fn another_checkout_of_the_same_content_is_the_same_release() {
        let compose = "name: shop\nservices:\n  web:\n    image: web:1\n    volumes:\n      \
                       - ./app.conf:/app.conf:ro\n";
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = sealed(one.path(), compose).await;
        let second = sealed(two.path(), compose).await;
        assert_eq!(first.id, second.id);
        let provenance = Definition::read(&second).unwrap().provenance;
        assert_eq!(provenance.working_dir, two.path());
        assert_eq!(provenance.config_files, [two.path().join("compose.yaml")]);
        let hashes = Definition::read(&first).unwrap().provenance.config_hashes;
        assert_eq!(hashes.len(), 1);
        assert_ne!(hashes, provenance.config_hashes, "compose's covers the path of the mount");

        let running = first.services.iter().map(|(name, service)| {
            let spec_hash = Some(service.spec_hash.clone());
            let instances = vec!["c1".to_owned()];
            (name.clone(), Running { instances, spec_hash, up: true, ..Running::default() })
        });
        let serving = Serving::Release(first.id.clone());
        let current = Current { serving, services: running.collect() };
        assert!(plan(&current, &second, None).unwrap().unchanged);

        // Data lies where it lies.
        let compose = compose.replace(":ro", "-data:rw").replace("app.conf:", "data:");
        let first = sealed(one.path(), &compose).await;
        assert_ne!(first.id, sealed(two.path(), &compose).await.id);
    }

    #[test]
    fn a_new_tag_or_order_alone_changes_no_definition() {
        let dir = tempfile::tempdir().unwrap();
        let of = |service: Value| {
            let project = project(dir.path(), &json!({"db": {"image": "db"}, "web": service}));
            spec(&project, version()).unwrap().services[&ServiceName::new("web").unwrap()].clone()
        };
        let one = of(json!({"image": "web:1"}));
        let two = of(json!({
            "image": "web:2", "depends_on": {"db": {"condition": "service_healthy"}}
        }));
        assert_eq!(one.config, two.config);
        assert_eq!(two.depends_on, [ServiceName::new("db").unwrap()]);
        assert_eq!(two.image.unwrap().reference, "web:2");
    }

    #[test]
    fn another_network_or_volume_changes_the_definitions_of_those_who_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let services = json!({
            "db": {
                "image": "db", "networks": {"default": {}},
                "volumes": [{"kind": "volume", "source": "data", "target": "/data"}]
            },
            "web": {"image": "web", "networks": {"default": {}}},
            "job": {"image": "job", "network_mode": "none"}
        });
        let mut before = project(dir.path(), &services);
        before.volumes.insert(
            "data".to_owned(),
            serde_json::from_value(json!({"name": "shop_data"})).unwrap(),
        );
        let changed = |edit: &dyn Fn(&mut Project)| -> Vec<String> {
            let mut after = before.clone();
            edit(&mut after);
            let (old, new) = (spec(&before, version()).unwrap(), spec(&after, version()).unwrap());
            let differs = |(name, service): &(&ServiceName, &ServiceSpec)| {
                old.services[*name].config != service.config
            };
            new.services.iter().filter(differs).map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(changed(&|_| {}), [""; 0]);
        assert_eq!(changed(&|it| it.networks[0].name = "other".to_owned()), ["db", "web"]);
        assert_eq!(changed(&|it| it.networks[0].internal = true), ["db", "web"]);
        assert_eq!(changed(&|it| it.volumes[0].name = "other".to_owned()), ["db"]);
        let opts = [("o".to_owned(), "x".to_owned())];
        assert_eq!(changed(&|it| it.volumes[0].driver_opts = opts.clone().into()), ["db"]);
    }

    #[test]
    fn secrets_are_named_and_never_in_labels() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("redis://:{}@db", secret::placeholder("PASSWORD"));
        let with_env = json!({"web": {"image": "w", "environment": {"URL": url.clone()}}});
        let found = spec(&project(dir.path(), &with_env), version()).unwrap();
        let web = &found.services[&ServiceName::new("web").unwrap()];
        assert_eq!(web.secrets, [SecretName::new("PASSWORD").unwrap()]);
        let with_label = json!({"web": {"image": "w", "labels": {"url": url}}});
        let error = spec(&project(dir.path(), &with_label), version()).unwrap_err();
        assert!(error.to_string().contains("label url of service web"), "{error}");
    }
}
