//! Scripts for k6, run by the real one: <https://grafana.com/docs/k6/latest/>.

mod probe;
mod run;
mod spec;
mod summary;

pub use self::{probe::K6Probe, run::K6, spec::K6Spec};
