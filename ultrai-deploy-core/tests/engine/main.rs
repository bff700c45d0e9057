//! The engine on memory backends, with paused time.

#[cfg(test)]
mod back;
#[cfg(test)]
mod bad;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod data;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod images;
#[cfg(test)]
mod journals;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod model;
#[cfg(test)]
mod pause;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod promotion;
#[cfg(test)]
mod random;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod robust;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod severity;
#[cfg(test)]
mod standing_watch;
#[cfg(test)]
mod stuck;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod watch;
