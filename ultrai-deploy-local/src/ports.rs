//! Ports of this machine.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
};

use ultrai_deploy_core::{Error, ErrorKind, Result};

/// Where `"auto"` ports are taken from: below those that Linux gives to outgoing connections
/// (32768 to 60999, `ip_local_port_range`), so that none of these takes a port between its choice
/// and its use.
const RANGE: RangeInclusive<u16> = 20_000..=32_000;

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
    // Programs that choose at the same time begin at different places.
    let random = RandomState::new().hash_one(taken);
    let begin = usize::try_from(random % RANGE.len() as u64).unwrap_or(0);
    let others = RANGE.cycle().skip(begin).take(RANGE.len()).filter(|port| !taken.contains(port));
    wanted.into_iter().chain(others).find(|port| try_listen(*port).is_ok()).ok_or_else(|| {
        let (first, last) = (RANGE.start(), RANGE.end());
        let message = format!("no port from {first} to {last} is free");
        Error::new(ErrorKind::Unavailable, "choose a port", message).without_effect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_one_that_nobody_has() {
        let port = free(None, &[]).unwrap();
        let listener = TcpListener::bind(address(port)).unwrap();
        assert_ne!(free(Some(port), &[]).unwrap(), port);
        drop(listener);
        assert_eq!(free(Some(port), &[port]).unwrap(), port, "its own port is wanted again");
        let all: Vec<u16> = RANGE.collect();
        assert_eq!(free(None, &all).unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
