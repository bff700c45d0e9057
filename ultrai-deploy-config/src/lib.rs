//! Configuration: what variables an application has, where their values come from, and whether they
//! are right, before anything is deployed.
//!
//! - [`Declaration`]: names, types, defaults, where they are required, which are secret.
//! - [`Layers`]: dotenv files, the variables of an environment, secret sources, the process, the
//!   command line; in a fixed order, put over each other and checked as a whole.
//! - [`Configuration`]: what came out, each value with where it comes from.
//! - [`dotenv`], [`interpolate`]: files and variables in texts, as Compose reads them; [`template`]:
//!   `{{VAR}}` in texts.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use ultrai_deploy_config::{Declaration, Kind, Layers, Spot, Variable};
//!
//! let at = |line| Some(Spot::line("deploy.toml", line));
//! let port = Variable { kind: Kind::Port, spot: at(1), ..Variable::default() };
//! let key = Variable { spot: at(4), ..Variable::secret() };
//! let declaration = Declaration::default().with("PORT", port).with("API_KEY", key);
//!
//! let process = BTreeMap::from([("ULTRAI_PORT".to_owned(), "http".to_owned())]);
//! let problems = Layers::new("production").with_process(process).resolve(&declaration);
//! assert_eq!(
//!     problems.unwrap_err().to_string(),
//!     "deploy.toml:1: PORT: \"http\" is refused (from process variable ULTRAI_PORT); it must be \
//!      a port from 1 to 65535\n\
//!      deploy.toml:4: API_KEY: it has no value, and production needs one; set it in .env.api_keys \
//!      or a secret source, or as API_KEY or ULTRAI_API_KEY in the environment"
//! );
//! ```

mod compare;
mod configuration;
mod declaration;
pub mod dotenv;
pub mod interpolate;
mod kind;
mod layers;
mod origin;
pub mod placeholder;
pub mod private;
mod problem;
pub mod reference;
mod resolve;
pub mod suggest;
pub mod template;

pub use crate::{
    compare::{Difference, Side, diff, parity},
    configuration::{Configuration, Row, Setting, Value},
    declaration::{Declaration, Required, Spot, Undeclared, Variable},
    kind::{Kind, Limits, boolean},
    layers::{Layers, PREFIX, VERSION},
    origin::Origin,
    problem::{Problem, Problems},
};
