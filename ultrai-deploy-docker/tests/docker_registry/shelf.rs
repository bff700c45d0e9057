//! An engine, a registry, and images that come and go between them.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;
use ultrai_deploy_core::{
    Context, Result,
    image::ImageStore,
    memory,
    name::{SecretName, ServiceName},
    release::Image,
    secret::Secret,
    spec::{ImageSpec, PullPolicy},
};
use ultrai_deploy_docker::{bollard::Docker, image::Store, registry::Registries};
use ultrai_deploy_testkit::registry::{Access, PASSWORD, Registry, USER};

use crate::support::{self, BUSYBOX, Output};

pub(crate) struct Shelf {
    pub(crate) cx: Context,
    pub(crate) docker: Docker,
    pub(crate) registry: Registry,
    pub(crate) output: Output,
    pub(crate) directory: TempDir,
}

impl Shelf {
    pub(crate) async fn new(access: Access) -> Self {
        Self {
            cx: support::context(),
            docker: support::busybox(&support::engine()).await,
            registry: Registry::start(access).await,
            output: Output::default(),
            directory: TempDir::new().unwrap(),
        }
    }

    /// Logged in as the registry wants it.
    pub(crate) fn explicit(&self, password: &str) -> Registries {
        let name = SecretName::new("REGISTRY_PASSWORD").unwrap();
        let secrets: memory::Secrets =
            [(name.clone(), Secret::new(password))].into_iter().collect();
        Registries::new()
            .with_login(&self.registry.host(), USER, name)
            .with_secrets(std::sync::Arc::new(secrets))
    }

    pub(crate) fn right(&self) -> Store {
        store_with(self.explicit(PASSWORD))
    }

    /// Where the image goes.
    pub(crate) fn remote(&self) -> String {
        format!("{}/{}/web:1", self.registry.host(), self.cx.target().project)
    }

    pub(crate) fn spec(&self) -> ImageSpec {
        let build = json!({ "context": self.directory.path(), "dockerfile_inline": self.recipe() });
        let reference = format!("{}-web:1", self.cx.target().project);
        ImageSpec { build: Some(build), push: Some(self.remote()), ..ImageSpec::new(reference) }
    }

    /// An image that is no other test's.
    fn recipe(&self) -> String {
        format!("FROM {BUSYBOX}\nLABEL of={}\n", self.cx.target().project)
    }

    pub(crate) async fn build(&self, store: &Store) -> Image {
        store.build(&self.cx, &service(), &self.spec(), &self.output).await.unwrap()
    }

    pub(crate) async fn push(&self, store: &Store, image: &Image) -> Result<Image> {
        store.push(&self.cx, &service(), &self.spec(), image, &self.output).await
    }

    /// Built and pushed by who may, and removed from the engine.
    pub(crate) async fn pushed(&self) -> Image {
        let store = self.right();
        let image = self.push(&store, &self.build(&store).await).await.unwrap();
        support::remove_image(&self.docker, &image.id).await;
        image
    }

    pub(crate) async fn pull(&self, store: &Store, reference: &str) -> Result<Image> {
        let spec = ImageSpec { pull: PullPolicy::Always, ..ImageSpec::new(reference) };
        store.resolve(&self.cx, &spec, &self.output).await
    }

    pub(crate) async fn has(&self, id: &str) -> bool {
        self.docker.inspect_image(id).await.is_ok()
    }

    /// Docker's configuration with this in it.
    pub(crate) fn config(&self, content: &Value) -> Registries {
        let path = self.directory.path().join("config.json");
        fs::write(&path, content.to_string()).unwrap();
        Registries::new().with_config_file(path).with_env(self.env())
    }

    /// The environment of helpers: those of this test come first.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let path = format!("{}:/usr/bin:/bin", self.directory.path().display());
        BTreeMap::from([("PATH".to_owned(), path)])
    }

    /// Puts a credential helper into the way of the search.
    pub(crate) fn helper(&self, name: &str, script: &str) {
        let path = self.directory.path().join(format!("docker-credential-{name}"));
        program(&path, &format!("#!/bin/sh\n{script}\n"));
    }
}

/// Writes a program by another process: one that this process itself has open for writing while
/// another thread forks could not be started.
fn program(path: &Path, text: &str) {
    use std::{io::Write, process};
    let mut writer = process::Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod +x \"$0\""])
        .arg(path)
        .stdin(process::Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

/// The images of the engine, with these logins.
pub(crate) fn store_with(registries: Registries) -> Store {
    Store::new(support::engine()).with_registries(registries)
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// The name that only this test has.
pub(crate) fn project(cx: &Context) -> String {
    cx.target().project.to_string()
}
