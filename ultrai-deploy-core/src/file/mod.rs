//! Everything about one environment in one directory of a local file system.
//!
//! ```text
//! <base>/<project>/<environment>/
//!   runs/<run>.journal          a run's records
//!   lease/<fence>               who holds the lease, under a kernel lock
//!   releases/<id>/release.json  a sealed release; secrets.json beside it has its secrets' values
//!   files/<digest>              files that services mount, by content
//!   current -> releases/<id>
//!   backups/<id>/manifest.json  a complete backup; its content is in parts/
//!   fingerprint.key             key of the secrets' fingerprints
//!   tmp/                        what is not finished, swept when its process is gone
//! ```
//! Directories are for their owner only, as is every file but those under `files/`, which keep
//! their permissions for the containers that they are mounted into.

mod backup;
mod durable;
mod frame;
mod journal;
mod lease;
mod release_store;
mod scratch;
mod state;
pub(crate) mod tree;

pub use backup::BackupStore;
pub use journal::Journal;
pub use lease::Lease;
pub use release_store::ReleaseStore;
pub use state::{State, default_base, open};

use crate::{
    error::{Error, ErrorKind, Result},
    name::Target,
};

/// A state directory serves one environment.
fn check_target(own: &Target, asked: &Target, operation: &'static str) -> Result<()> {
    if own == asked {
        return Ok(());
    }
    let message = format!("this state directory belongs to {own}, not to {asked}");
    Err(Error::new(ErrorKind::Invalid, operation, message).without_effect())
}
