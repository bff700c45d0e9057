//! What only one running container can have at a time.

use serde::{Deserialize, Serialize};

/// Something exclusive on an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Claim {
    /// A port of the host.
    Port {
        /// The address on the host; empty for all.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        ip: String,
        /// The port.
        port: u16,
        /// `tcp`, `udp` or `sctp`.
        protocol: String,
    },
    /// A container's name.
    Name(String),
    /// A static address on a network.
    Address {
        /// The network, by its name on the engine.
        network: String,
        /// The address.
        address: String,
    },
}

impl Claim {
    /// Whether two containers cannot have both at the same time.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Port { ip, port, protocol },
                Self::Port { ip: other_ip, port: other_port, protocol: other_protocol },
            ) => {
                port == other_port
                    && protocol == other_protocol
                    && (ip == other_ip || is_any(ip) || is_any(other_ip))
            }
            _ => self == other,
        }
    }
}

/// Whether an address stands for all addresses of the host.
pub(crate) fn is_any(ip: &str) -> bool {
    matches!(ip, "" | "0.0.0.0" | "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, port: u16, protocol: &str) -> Claim {
        Claim::Port { ip: ip.to_owned(), port, protocol: protocol.to_owned() }
    }

    #[test]
    fn ports_exclude_each_other_on_the_same_address() {
        assert!(port("", 80, "tcp").excludes(&port("127.0.0.1", 80, "tcp")));
        assert!(port("127.0.0.1", 80, "tcp").excludes(&port("0.0.0.0", 80, "tcp")));
        assert!(!port("127.0.0.1", 80, "tcp").excludes(&port("127.0.0.2", 80, "tcp")));
        assert!(!port("", 80, "tcp").excludes(&port("", 80, "udp")));
        assert!(!port("", 80, "tcp").excludes(&port("", 81, "tcp")));
    }

    #[test]
    fn addresses_exclude_each_other_on_the_same_network() {
        let address = |network: &str| Claim::Address {
            network: network.to_owned(),
            address: "10.0.0.9".to_owned(),
        };
        assert!(address("a").excludes(&address("a")));
        assert!(!address("a").excludes(&address("b")));
    }
}
