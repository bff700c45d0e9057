//! What the writer of a backend of ultrai-deploy tests with: [`conformance`] suites for the seams,
//! [`faulty`] wrappers, [`hosted`] platforms driven through the whole pipeline, processes that die where they are told to ([`crash`]), a canned HTTP
//! [`server`] to speak to, a [`vault`] with a memory, a [`mod@registry`] for images, and servers of
//! others as [`peer`]s. `docs/write-a-backend.md` in the repository goes through one from its
//! layout to its tests.
//!
//! A backend proves itself by running the suite of its seam, which panics at the first case that
//! fails and returns how many ran:
//!
//! ```
//! use std::sync::Arc;
//! use ultrai_deploy_core::memory;
//! use ultrai_deploy_testkit::conformance::{self, Named};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let stores = Named::<memory::Journal>::default();
//! let cases = conformance::journal(|name| Arc::new(stores.open(name))).await;
//! assert!(cases > 0);
//! # }
//! ```

pub mod conformance;
pub mod crash;
pub mod faulty;
pub mod hosted;
pub mod peer;
pub mod registry;
pub mod server;
pub mod trace;
pub mod vault;
