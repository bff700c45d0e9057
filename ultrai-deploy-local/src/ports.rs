//! Ports of this machine.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use ultrai_deploy_core::{Error, ErrorKind, Result};

/// How often a free port is asked for before giving up.
const TRIES: u32 = 64;

/// The address of a port.
pub(crate) fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether a process could listen on a port; the error of trying otherwise.
pub(crate) fn try_listen(port: u16) -> io::Result<()> {
    TcpListener::bind(address(port)).map(drop)
}

/// A port that nobody listens on and that is not among `taken`; `wanted` if it is such a one.
pub(crate) fn free(wanted: Option<u16>, taken: &[u16]) -> Result<u16> {
    if let Some(port) = wanted
        && try_listen(port).is_ok()
    {
        return Ok(port);
    }
    let mut last = None;
    for _ in 0..TRIES {
        match TcpListener::bind(address(0)).and_then(|listener| listener.local_addr()) {
            Ok(address) if !taken.contains(&address.port()) => return Ok(address.port()),
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    let error = Error::new(ErrorKind::Unavailable, "choose a port", "no port is free");
    Err(match last {
        Some(source) => error.with_source(source),
        None => error,
    }
    .without_effect())
}
