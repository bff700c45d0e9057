//! Archives that nobody vouches for, and those made here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forge;
mod hostile;
mod round;

use std::{io::Cursor, path::Path};

use cap_std::{ambient_authority, fs::Dir};
use tokio::io::AsyncReadExt;
use ultrai_deploy_archive::{Limits, screen};

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// What passes the screen, or why not.
async fn screened(archive: &[u8], limits: Limits) -> Result<Vec<u8>, String> {
    let mut passed = Vec::new();
    let result = screen(Cursor::new(archive), limits).read_to_end(&mut passed).await;
    result.map(|_count| passed).map_err(|error| error.to_string())
}
