//! Images of the memory world.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    context::Context,
    digest,
    error::{Error, ErrorKind, Result},
    image::ImageStore,
    name::ServiceName,
    release::Image,
    spec::ImageSpec,
    task::TaskOutput,
};

/// Images in memory. Clones are one store.
///
/// Only what was added or built can be resolved. A `build` of `{"fails": true}` fails.
#[derive(Clone, Debug, Default)]
pub struct Images(Arc<Mutex<BTreeMap<String, Image>>>);

impl Images {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image, with an id that follows from its reference.
    pub fn with(self, reference: &str) -> Self {
        self.insert(image(reference, &Value::Null));
        self
    }

    /// Adds an image, or moves its reference to another id.
    pub fn insert(&self, image: Image) {
        self.lock().insert(image.reference.clone(), image);
    }

    /// Removes an image, so that it can neither be resolved nor started again.
    pub fn remove(&self, reference: &str) {
        self.lock().remove(reference);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Image>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ImageStore for Images {
    async fn build(
        &self,
        cx: &Context,
        service: &ServiceName,
        spec: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        cx.check()?;
        let inputs = spec.build.as_ref().unwrap_or(&Value::Null);
        if inputs["fails"] == true {
            return Err(Error::new(
                ErrorKind::Invalid,
                "build an image",
                format!("the build of {service} failed"),
            ));
        }
        if let Some(says) = inputs["says"].as_str() {
            output.line(says);
        }
        let image = image(&spec.reference, inputs);
        self.insert(image.clone());
        Ok(image)
    }

    async fn resolve(
        &self,
        _cx: &Context,
        spec: &ImageSpec,
        _output: &dyn TaskOutput,
    ) -> Result<Image> {
        if let Some(exact) = &spec.exact {
            let found = self.lock().values().any(|known| known.id == exact.id);
            return found.then(|| exact.clone()).ok_or_else(|| absent(&exact.id));
        }
        self.lock().get(&spec.reference).cloned().ok_or_else(|| absent(&spec.reference))
    }

    async fn push(
        &self,
        cx: &Context,
        _service: &ServiceName,
        spec: &ImageSpec,
        image: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        cx.check()?;
        let Some(to) = &spec.push else { return Ok(image.clone()) };
        output.line(&format!("pushed {to}"));
        let digest = format!("sha256:{}", digest::sha256(image.id.as_bytes()));
        let pushed = Image { reference: to.clone(), id: image.id.clone(), digest: Some(digest) };
        self.insert(pushed.clone());
        Ok(pushed)
    }

    async fn is_obtainable(&self, _cx: &Context, image: &Image) -> Result<bool> {
        Ok(self.lock().values().any(|known| known.id == image.id))
    }
}

fn absent(what: &str) -> Error {
    let message = format!("{what} is not to be had");
    Error::new(ErrorKind::NotFound, "find an image", message).without_effect()
}

fn image(reference: &str, inputs: &Value) -> Image {
    let content = digest::of_json(&json!({ "reference": reference, "inputs": inputs }));
    Image { reference: reference.to_owned(), id: format!("sha256:{content}"), digest: None }
}
