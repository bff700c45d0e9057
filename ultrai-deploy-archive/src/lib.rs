//! Tar archives that nobody vouches for.
//!
//! [`screen`] passes an archive on, entry by entry, and fails before the first one that could do harm
//! where it is unpacked; [`unpack`] writes one below a directory handle and [`pack`] makes one. All of
//! them read with one strict reader, so that what was screened is what is unpacked.
//!
//! An archive holds regular files, directories, and links that stay inside. Everything else is refused:
//! absolute names and `..`, devices and pipes, sparse files, links out of it or through other links, two
//! entries of one name, names that a file system could not hold, more than the [`Limits`]; and whatever
//! programs could read in two ways, such as a size of a directory, a global extension, or a name that is
//! given twice. An archive without its end is refused too: it never passes as a shorter one.
//!
//! ```
//! use std::io::Cursor;
//! use tokio::io::AsyncReadExt;
//! use ultrai_deploy_archive::{Limits, pack, screen, unpack};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! # let open = |of: &tempfile::TempDir| {
//! #     cap_std::fs::Dir::open_ambient_dir(of.path(), cap_std::ambient_authority())
//! # };
//! # let (from, to) = (open(&here)?, open(&there)?);
//! from.write("greeting", "hello")?;
//! let mut archive = Vec::new();
//! pack(from, Limits::default()).read_to_end(&mut archive).await?;
//! unpack(Cursor::new(&archive), &to, Limits::default()).await?;
//! assert_eq!(to.read_to_string("greeting")?, "hello");
//!
//! let cut_off = Cursor::new(archive[..600].to_vec());
//! let error = screen(cut_off, Limits::default()).read_to_end(&mut Vec::new()).await.unwrap_err();
//! assert!(error.to_string().contains("ends too early"));
//! # Ok(())
//! # }
//! ```

mod entry;
mod extension;
mod failure;
mod header;
mod limits;
mod name;
mod pack;
mod screen;
mod unpack;
mod vetting;

pub use self::{
    entry::{Entry, Kind},
    limits::Limits,
    pack::{Pack, pack},
    screen::{Screen, screen},
    unpack::unpack,
};
