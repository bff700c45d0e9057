//! load
mod connection;
mod dialer;
mod failure;
mod generator;
mod judge;
mod limit;
mod measured;
mod metric;
mod queue;
pub mod request;
mod schedule;
mod tally;
mod tls;
