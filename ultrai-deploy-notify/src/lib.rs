//! Tells people and programs what becomes of deploys: Slack, a signed webhook, PagerDuty, a command.
//!
//! ```text
//! records ─► Notifications ─┬─► queue ─► lane ─► Slack
//! alerts  ─►  (never waits) ├─► queue ─► lane ─► webhook        the lanes are the Worker,
//!                           └─► queue ─► lane ─► PagerDuty      driven beside the run
//! ```
//!
//! Nothing here can change how a run ends, nor hold it up beyond a stated bound:
//! - [`Notifications`] takes notices without waiting; when a channel's queue is full, one is left out
//!   and counted.
//! - [`Worker`] sends to all channels side by side. When the work is over, it sends what is left
//!   within [`FINISH`], whatever the receivers do.
//! - What fails is a warning in the log and a number in [`Counts`], never an error.
//!
//! Each notice is sent at least once where the receiver can be reached: the [`Ledger`] knows which
//! endings were told, and [`Notifications::catch_up`] tells those that a killed process did not.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ultrai_deploy_core::{memory, name::SecretName, secret::Secret};
//! use ultrai_deploy_http::Client;
//! use ultrai_deploy_notify::{Channel, Config, FINISH, Notifications};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let slack: Config = serde_json::from_str(r#"{
//!     "kind": "slack", "url": "SLACK_URL", "on": ["rolled_back", "stuck", "approval_needed"]
//! }"#)?;
//! let url = (SecretName::new("SLACK_URL")?, Secret::new("https://hooks.slack.com/services/T/B/x"));
//! let secrets = Arc::new(memory::Secrets::from_iter([url]));
//! let channel = Channel::from_config(&slack, Client::new(Default::default())?, secrets)?;
//!
//! let (notifications, worker) = Notifications::new([channel]);
//! // `Pipeline::builder(..).observer(Arc::new(notifications.clone()))`, then:
//! let report = worker.beside(FINISH, async { "the run's report" }).await;
//! # assert_eq!(report, "the run's report");
//! # assert_eq!(notifications.counts(), Default::default());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/notifications.md` has the payload of the webhook field by field.
#![deny(missing_docs)]

mod bucket;
mod catch_up;
mod channel;
mod command;
mod config;
mod counts;
mod lane;
mod ledger;
mod notice;
mod notifications;
mod pagerduty;
mod payload;
mod post;
mod recent;
pub mod sender;
pub mod signature;
mod slack;
mod story;
mod webhook;
mod worker;

pub use crate::{
    channel::{Channel, Filter, Limits},
    config::{Config, Kind},
    counts::Counts,
    ledger::Ledger,
    notice::{Name, Notice, What},
    notifications::{Notifications, Parts},
    sender::Sender,
    worker::{FINISH, Worker},
};
