//! YAML of which every node knows where it was written, and checks that say what to write instead.
//!
//! [`parse`] reads a text into [`Node`]s. What may stand in a file is a table of [`form`]s; with it
//! [`form::check`] finds everything that is wrong, each with its line, its column, its place in the
//! document and the key that was probably meant.

pub mod form;
mod problem;
mod tree;

pub use crate::{
    problem::{Problem, Problems},
    tree::{Broken, Entry, Kind, Node, Position, Scalar, parse},
};
