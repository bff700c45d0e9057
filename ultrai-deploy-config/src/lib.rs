//! Configuration: dotenv files in Compose's dialect, and the variables in their values.
//!
//! [`dotenv`] reads files, [`interpolate`] fills variables into texts as Compose does, and
//! [`placeholder`] keeps the values of secrets out of what was filled in.

pub mod dotenv;
pub mod interpolate;
pub mod placeholder;
