//! What users of the application made, as parts of a backup: volumes, what a command in a service
//! writes, and images.
//!
//! | source | how it is read | how it is put back |
//! |---|---|---|
//! | [`Volumes`] | as an archive of the files, through a helper container that is never started | services that use it stop, it is emptied and filled, they start again |
//! | [`Command`] | what a command in the running service writes | what a command in the running service reads |
//! | [`Images`] | as `docker save` writes them | those that the engine does not have are loaded |
//!
//! # What a helper is
//! A container of the image that a service has already, with the volume and nothing else: no network,
//! no files, none of the service's environment. It bears the project, the run and [`PART`], and neither
//! compose nor this crate takes it for a service's own. What a killed run left of them is found by these
//! labels, and put right, before the next part is read or put back and by
//! [`settle`](ultrai_deploy_core::backup::BackupSource::settle): services that were stopped for it run
//! again, and it is removed.
//!
//! # How much is in memory
//! Some chunks of the engine's, whatever the size: everything is a stream, and one that cannot be read
//! to its end fails. It never ends early as if it were whole.

mod command;
mod dump;
mod helper;
mod images;
mod place;
mod preset;
mod stream;
mod volumes;

pub use self::{
    command::Command,
    dump::{Dump, Variable},
    helper::{PART, RESUME},
    images::Images,
    volumes::{Volume, Volumes, While},
};
