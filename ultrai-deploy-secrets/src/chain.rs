//! Several sources in order.

use std::sync::Arc;

use async_trait::async_trait;
use ultrai_deploy_core::{
    Error, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

/// Sources in order: the first that has a secret wins.
///
/// An error of a source that is asked is one of the chain: a source that is down must not let the
/// value of a later one take the place of its own.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Vec<(String, Arc<dyn SecretSource>)>,
}

impl Chain {
    /// Adds a source after the others. `label` names it in errors and in [`Found`].
    pub fn with(mut self, label: impl Into<String>, source: Arc<dyn SecretSource>) -> Self {
        self.links.push((label.into(), source));
        self
    }

    /// The labels, in order.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|(label, _)| label.as_str())
    }

    /// Where a secret comes from. Asks no source after the first that has it, so
    /// [`shadowed`](Found::shadowed) is empty.
    ///
    /// # Errors
    /// That of a source that was asked.
    pub async fn first(&self, name: &SecretName) -> Result<Option<Found>> {
        for (label, source) in &self.links {
            if let Some(value) = ask(label, source.as_ref(), name).await? {
                return Ok(Some(Found { value, label: label.clone(), shadowed: Vec::new() }));
            }
        }
        Ok(None)
    }

    /// Where a secret comes from, and which later sources have it, too. Asks all of them.
    ///
    /// # Errors
    /// That of any source; unlike with [`get`](SecretSource::get), also of those after the first
    /// that has it.
    pub async fn find(&self, name: &SecretName) -> Result<Option<Found>> {
        let mut found: Option<Found> = None;
        for (label, source) in &self.links {
            let Some(value) = ask(label, source.as_ref(), name).await? else { continue };
            match &mut found {
                Some(found) => found.shadowed.push(label.clone()),
                None => {
                    found = Some(Found { value, label: label.clone(), shadowed: Vec::new() });
                }
            }
        }
        Ok(found)
    }
}

/// A secret and where it was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The value.
    pub value: Secret,
    /// The label of the source that it comes from.
    pub label: String,
    /// The labels of later sources that have it, too, whatever its value is there.
    pub shadowed: Vec<String>,
}

#[async_trait]
impl SecretSource for Chain {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        Ok(self.first(name).await?.map(|found| found.value))
    }
}

async fn ask(label: &str, source: &dyn SecretSource, name: &SecretName) -> Result<Option<Secret>> {
    source.get(name).await.map_err(|error| {
        let message = format!("the source `{label}` does not tell {name}");
        let outer = Error::new(error.kind(), "read a secret", message).without_effect();
        let outer = if error.is_retryable() { outer.retryable() } else { outer };
        outer.with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::{ErrorKind, memory};

    use super::*;

    #[derive(Debug)]
    struct Down;

    #[async_trait]
    impl SecretSource for Down {
        async fn get(&self, _: &SecretName) -> Result<Option<Secret>> {
            Err(Error::new(ErrorKind::Unavailable, "ask", "it is down").retryable())
        }
    }

    fn name(text: &str) -> SecretName {
        SecretName::new(text).unwrap()
    }

    fn having(values: &[(&str, &str)]) -> Arc<memory::Secrets> {
        let values = values.iter().map(|(key, value)| (name(key), Secret::new(*value)));
        Arc::new(values.collect())
    }

    #[tokio::test]
    async fn the_first_that_has_it_wins_and_tells_whom_it_shadows() {
        let chain = Chain::default()
            .with("one", having(&[("A", "hunter2-1")]))
            .with("two", having(&[("B", "hunter2-2"), ("A", "hunter2-3")]))
            .with("three", having(&[("A", "hunter2-4"), ("B", "")]));
        let found = chain.find(&name("A")).await.unwrap().unwrap();
        assert_eq!((found.value.expose(), found.label.as_str()), ("hunter2-1", "one"));
        assert_eq!(found.shadowed, ["two", "three"]);
        assert_eq!(chain.get(&name("B")).await.unwrap().unwrap().expose(), "hunter2-2");
        assert!(chain.get(&name("C")).await.unwrap().is_none());
        assert!(chain.find(&name("C")).await.unwrap().is_none());
        assert_eq!(chain.labels().collect::<Vec<_>>(), ["one", "two", "three"]);
        assert!(!format!("{chain:?} {found:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_source_that_is_down_lets_no_later_one_take_its_place() {
        let chain = Chain::default()
            .with("first", having(&[("A", "1")]))
            .with("vault", Arc::new(Down))
            .with("last", having(&[("A", "old"), ("B", "old")]));
        assert_eq!(chain.get(&name("A")).await.unwrap().unwrap().expose(), "1");
        let error = chain.get(&name("B")).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
        let text = ultrai_deploy_core::Chain(&error).to_string();
        assert!(text.contains("source `vault`") && text.contains("it is down"), "{text}");
        assert!(chain.find(&name("A")).await.is_err(), "who shadows whom cannot be told");
    }
}
