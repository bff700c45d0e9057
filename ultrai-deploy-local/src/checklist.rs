//! Items of the pre-release checklist that are about this machine.
//!
//! ```toml
//! [[preflight]]
//! kind = "disk"
//! path = "/var/lib"
//! free = "5GiB"
//!
//! [[preflight]]
//! kind = "memory"
//! available = "10%"
//!
//! [[preflight]]
//! kind = "command"
//! name = "licence"
//! command = ["/usr/local/bin/licence", "check"]
//! ```
//! The clock is compared with a server's by `ultrai_deploy_http::checklist`.

mod amount;
mod command;
mod disk;
mod memory;

pub use self::{amount::Amount, command::Command, disk::Disk, memory::Memory};
