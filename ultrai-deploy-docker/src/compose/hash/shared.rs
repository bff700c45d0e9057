//! The hashes by which `docker compose` tells whether networks and volumes are up to date.

use ultrai_deploy_core::digest;

use super::{
    super::model::{Ipam, IpamPool, Network, Volume},
    Object, array, sorted, sorted_btree,
};

/// The hash of a network.
pub fn network_hash(network: &Network) -> String {
    let mut out = Object::default();
    out.text("name", Some(&network.name));
    out.text("driver", network.driver.as_ref());
    out.raw_if(!network.driver_opts.is_empty(), "driver_opts", || {
        sorted_btree(&network.driver_opts)
    });
    out.raw("ipam", &network.ipam.as_ref().map_or_else(|| "{}".to_owned(), ipam));
    out.flag("external", network.external);
    out.flag("internal", network.internal);
    out.flag("attachable", network.attachable);
    out.raw_if(!network.labels.is_empty(), "labels", || sorted(&network.labels));
    for (key, enabled) in
        [("enable_ipv4", network.enable_ipv4), ("enable_ipv6", network.enable_ipv6)]
    {
        if let Some(enabled) = enabled {
            out.value(key, &enabled.into());
        }
    }
    digest::sha256(out.finish().as_bytes())
}

/// The hash of a volume.
pub fn volume_hash(volume: &Volume) -> String {
    let mut out = Object::default();
    out.text("name", Some(&volume.name));
    let local = "local".to_owned();
    out.text("driver", volume.driver.as_ref().or(Some(&local)));
    out.raw_if(!volume.driver_opts.is_empty(), "driver_opts", || sorted_btree(&volume.driver_opts));
    out.flag("external", volume.external);
    out.raw_if(!volume.labels.is_empty(), "labels", || sorted(&volume.labels));
    digest::sha256(out.finish().as_bytes())
}

fn ipam(ipam: &Ipam) -> String {
    let mut out = Object::default();
    out.text("driver", ipam.driver.as_ref());
    out.raw_if(!ipam.config.is_empty(), "config", || array(ipam.config.iter().map(pool)));
    out.raw_if(!ipam.options.is_empty(), "options", || sorted_btree(&ipam.options));
    out.finish()
}

fn pool(pool: &IpamPool) -> String {
    let mut out = Object::default();
    out.text("subnet", pool.subnet.as_ref());
    out.text("gateway", pool.gateway.as_ref());
    out.text("ip_range", pool.ip_range.as_ref());
    out.raw_if(!pool.aux_addresses.is_empty(), "aux_addresses", || {
        sorted_btree(&pool.aux_addresses)
    });
    out.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The expected ones are labels that `docker compose create` of v5.6.1 wrote.
    #[test]
    fn they_are_those_of_compose() {
        let network = |value: Value| network_hash(&serde_json::from_value(value).unwrap());
        let volume = |value: Value| volume_hash(&serde_json::from_value(value).unwrap());
        let pairs = [
            (
                network(json!({"name": "wtaor_default"})),
                "2e1b426d33b3c83e39367235085531c1520c02f69a3f355f1a2d4b91f5d9425e",
            ),
            (
                network(json!({
                    "name": "wtaor_n2", "driver": "bridge", "internal": true, "attachable": true,
                    "driver_opts": {"com.docker.network.bridge.enable_icc": "true"},
                    "labels": {"z": "1", "a": "x<y"}
                })),
                "301bbaf340f0d8cdf9fc3564418fb3a41a45cc3661917412335deb657564b147",
            ),
            (
                network(json!({"name": "wtaor_n3", "ipam": {"driver": "default", "config": [{
                    "subnet": "172.29.77.0/24", "gateway": "172.29.77.1",
                    "ip_range": "172.29.77.128/25", "aux_addresses": {"h": "172.29.77.5"}
                }]}})),
                "ae035c6e84fd535ed286d448c997edc6b303e0b34d312a2645f94482e5067a71",
            ),
            (
                network(json!({
                    "name": "wtaor-named", "enable_ipv6": false, "ipam": {"options": {"x": "y"}}
                })),
                "e730719d838a04760e7e6d6c1205a20f91d2d6eadd3c37ead2d95211e2ea357e",
            ),
            (
                volume(json!({"name": "wtaor_v1"})),
                "5c858eface7301a4bc1a0c874cbd52629bea94832fc7120a0042bcdf36b96051",
            ),
            (
                volume(json!({
                    "name": "wtaor_v2", "driver": "local", "labels": {"b": "1", "a": ""}
                })),
                "f0b311eb32cacaf7c186fc088c73423167de089ba7c199b149b3c8b41d039c7d",
            ),
            (
                volume(json!({"name": "wtaor-v", "driver_opts": {
                    "type": "tmpfs", "device": "tmpfs", "o": "size=1m"
                }})),
                "09c6a530ba04cb135409ae012a2d232b77c560ad863e0b8ffc2d779ac0197747",
            ),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours, theirs);
        }
    }
}
