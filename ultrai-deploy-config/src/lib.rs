//! Configuration: dotenv files in Compose's dialect, the variables in their values, templates.
//!
//! [`dotenv`] reads files, [`interpolate`] fills variables into texts as Compose does, [`template`]
//! fills `{{VAR}}` into texts, and [`placeholder`] keeps the values of secrets out of what was
//! filled in.

pub mod dotenv;
pub mod interpolate;
pub mod placeholder;
pub mod template;
