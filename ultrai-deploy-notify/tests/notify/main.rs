//! Notifications beside real runs on memory backends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how long runs took is to be seen")]
#![expect(
    clippy::clone_on_ref_ptr,
    reason = "an observer is cloned as what it is, and given as a trait"
)]

mod bounds;
mod catch_up;
mod channels;
mod lab;
mod receivers;
