//! What users of the application made, as parts of a backup: what a command writes, and directories.

mod command;
mod directories;
mod pieces;

pub use self::{
    command::{Command, Dump},
    directories::{Directories, Directory, While},
};
