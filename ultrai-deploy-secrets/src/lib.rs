//! Where secret values come from: implementations of core's
//! [`SecretSource`](ultrai_deploy_core::secret::SecretSource).
//!
//! | source | holds |
//! |---|---|
//! | [`Environment`] | the variables of a process |
//! | [`Dotenv`] | a dotenv file that only its owner can read |
//! | [`Directory`] | one file for each secret, as Docker and Kubernetes mount them |
//! | [`Command`] | what a program prints: `sops -d`, `op read`, `vault kv get` |
//! | [`Vault`](vault::Vault) | documents of HashiCorp Vault's KV engine, version 2 |
//! | `Age` | a file that is encrypted with age (feature `age`) |
//! | [`Chain`] | several of these in order |
//!
//! Every wait has an end, every read a bound. A value leaves only as a
//! [`Secret`](ultrai_deploy_core::secret::Secret), and what held it on the way is zeroed where that
//! is in this crate's hands: the copies that the kernel, TLS, a JSON or a dotenv parser make inside
//! themselves are not.
//!
//! What was read once is kept as long as the source lives, so that a run sees one state of it. A
//! source that cannot be asked is an error, never one that has nothing: with a [`Chain`], a value of
//! a later source would take the place of the right one.
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//!
//! use ultrai_deploy_core::{name::SecretName, secret::SecretSource};
//! use ultrai_deploy_secrets::{Chain, Environment};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let variables = BTreeMap::from([("ULTRAI_API_KEY".to_owned(), "s3cret".to_owned())]);
//! let chain = Chain::default().with("environment", Arc::new(Environment::new(variables)));
//! let key = SecretName::new("API_KEY")?;
//! assert_eq!(chain.get(&key).await?.unwrap().expose(), "s3cret");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "age")]
mod age;
mod chain;
mod command;
mod directory;
mod document;
mod dotenv;
mod environment;
mod file;
pub mod vault;

#[cfg(feature = "age")]
pub use crate::age::Age;
pub use crate::{
    chain::{Chain, Found},
    command::Command,
    directory::Directory,
    document::Format,
    dotenv::Dotenv,
    environment::Environment,
    file::Absent,
};
