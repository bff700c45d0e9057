//! Secrets from everywhere, and nothing that is written has one of them, at trace level.
//!
//! | command | local | Compose | Railway | Render |
//! |---|---|---|---|---|
//! | `config show`, `config check` | text, JSON | text, JSON | text, JSON | text, JSON |
//! | `config diff`, `config docs` | text, JSON | | | |
//! | `plan`, `plan --save`, `deploy --plan` | yes | yes | yes | yes |
//! | `deploy`: succeeds | yes | yes, with a push | yes | yes |
//! | fails to build, or to log in at a registry | | yes | | |
//! | fails in a test before, or in a migration | yes | yes | | |
//! | fails to start, or to get healthy | yes | yes | yes | yes |
//! | fails in a check that gets its secret header back | yes | yes | yes | yes |
//! | fails in a test after | yes | yes | | yes |
//! | refused for files, declarations, sources | yes | a build argument | the token | the token |
//! | SIGKILL and `resume` | yes | yes | yes | yes |
//! | `cancel` of one that is held | yes | yes | yes | yes |
//! | `cancel` of one at work | yes | | yes | yes |
//! | `rollback`, `verify`, `status`, `history`, `backup list` | yes | yes | yes | yes |
//! | `resume --proceed`, `rollback` of a held one, `migrations` | yes | | | |
//! | `abandon` | yes | | yes | yes |
//! | `promote` | yes | refused | | |
//!
//! Compose is in `canary_compose`. After each command what it printed and logged, all files and the
//! arguments of all processes are searched, those of processes also meanwhile. Values may stand in
//! `releases/<id>/secrets.json` and in the logs of local processes, which are their owner's alone.
//! Backups have them encrypted, for a key that is its owner's alone, too.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod hosted;
mod local;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../hosted/platform.rs"]
mod platform;
mod project;
mod search;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../hosted/shop.rs"]
mod shop;
mod values;
