//! Conformance suites for backends of ultrai-deploy, and a canned server to speak to.
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
pub mod server;
