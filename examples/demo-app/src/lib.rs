//! A small HTTP service to deploy: the backend and the frontend of the sample compose application.
//!
//! It answers the endpoints that a deployment verifies, keeps a counter in Redis so that a test can
//! see whether data survived, finishes the requests in flight on SIGTERM, and misbehaves on demand:
//! see [`Faults`].
//!
//! ```
//! use ultrai_demo_app::{Config, Role};
//!
//! let config = Config::from_vars([
//!     ("PORT".to_owned(), "9000".to_owned()),
//!     ("APP_VERSION".to_owned(), "v1.1.0".to_owned()),
//! ])?;
//! assert_eq!(config.role, Role::Backend);
//! assert_eq!(config.port, 9000);
//! # Ok::<(), ultrai_demo_app::ConfigError>(())
//! ```

mod config;
mod faults;
mod redis;
mod routes;
mod server;

pub use config::{Address, Config, ConfigError, Provider, Role};
pub use faults::Faults;
pub use server::{run, serve};
