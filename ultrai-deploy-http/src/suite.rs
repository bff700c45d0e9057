//! Suites: several requests that prove a release together, of which some use what others were answered.
//!
//! A suite is written in a `checks.toml` (see `docs/checks-toml.md`), read by `File` (feature `suite`),
//! and stored with a release as the probe `{"suite": {…}}`, with everything in it that it needs.
//! [`SuiteProbe`] runs it in one look.
//!
//! ```text
//! checks.toml ──► File ──► SuiteSpec ──► SuiteProbe ──► an outcome for each test
//!                      └─► TaskSpec  ──► the backend's TaskRunner
//! ```
//!
//! A test runs once everything that it needs has passed: what it names in `needs`, and whatever
//! captures a variable that it uses. One after the other, or side by side, up to [`SuiteSpec::parallel`].

#[cfg(feature = "suite")]
mod file;
mod outcome;
mod probe;
mod problem;
mod request;
mod schedule;
mod spec;
mod variables;

#[cfg(feature = "suite")]
pub use self::file::{File, Selection};
pub use self::{
    probe::SuiteProbe,
    spec::{CaptureFrom, SuiteAt, SuiteSpec, TestAt, TestSpec},
    variables::VariableName,
};
