//! Whether a network or volume that exists is the one that a release describes. Pure.
//!
//! The engine changes neither in place. A volume made anew has lost its data, and a network made
//! anew is none that the containers of the release before could come back to: so the definition of
//! an existing one cannot change under its name. Labels make no difference to whoever uses it.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::json;
use ultrai_deploy_core::{
    digest,
    error::{Error, ErrorKind, Result},
};

use crate::{
    compose::{
        model::{Ipam, Network, Volume},
        network_hash, volume_hash,
    },
    labels,
};

/// The line of Compose whose hashes are reproduced. Others may hash other fields.
const COMPOSE_LINE: &str = "5.";
/// What Compose adds to the labels of the file.
const COMPOSE_LABELS: &str = "com.docker.compose.";

/// The digest of what a network is: its name and all that its containers notice of it.
pub(crate) fn of_network(network: &Network) -> String {
    let ipam = network
        .ipam
        .clone()
        .map(|ipam| Ipam { driver: ipam.driver.filter(|driver| driver != "default"), ..ipam });
    digest::of_json(&json!(Network {
        driver: network.driver.clone().filter(|driver| driver != "bridge"),
        ipam: ipam.filter(|ipam| *ipam != Ipam::default()),
        labels: IndexMap::new(),
        ..network.clone()
    }))
}

/// The digest of what a volume is: its name and all that its containers notice of it.
pub(crate) fn of_volume(volume: &Volume) -> String {
    digest::of_json(&json!(Volume {
        driver: volume.driver.clone().filter(|driver| driver != "local"),
        labels: IndexMap::new(),
        ..volume.clone()
    }))
}

/// Refuses a network that exists, with these labels, and is another than the release describes.
/// One that tells nothing of its definition is taken as it is.
///
/// # Errors
/// [`ErrorKind::Conflict`], with what to do.
pub(crate) fn check_network(
    key: &str,
    wanted: &Network,
    found: &HashMap<String, String>,
) -> Result<()> {
    let compose = || network_hash(&Network { labels: of_file(found), ..wanted.clone() });
    if is_same(found, &of_network(wanted), compose) {
        return Ok(());
    }
    let name = &wanted.name;
    Err(other(format!(
        "network {name} exists, and `networks.{key}` describes another one; the engine cannot \
         change a network"
    ))
    .with_advice(format!(
        "take the change back; or give it another `name:` under `networks.{key}`, so that its \
         services move to a new network; or, to keep the name, remove the containers that use it \
         and the network (`docker network rm {name}`), and deploy again"
    )))
}

/// Refuses a volume that exists, with these labels, and is another than the release describes.
/// One that tells nothing of its definition is taken as it is.
///
/// # Errors
/// [`ErrorKind::Conflict`], with what to do.
pub(crate) fn check_volume(
    key: &str,
    wanted: &Volume,
    found: &HashMap<String, String>,
) -> Result<()> {
    let compose = || volume_hash(&Volume { labels: of_file(found), ..wanted.clone() });
    if is_same(found, &of_volume(wanted), compose) {
        return Ok(());
    }
    let name = &wanted.name;
    Err(other(format!(
        "volume {name} exists, and `volumes.{key}` describes another one; it is never made anew, \
         since that deletes its data"
    ))
    .with_advice(format!(
        "take the change back; or give it another `name:` under `volumes.{key}` for a new, empty \
         volume, and copy over the data that is needed"
    )))
}

/// The labels of the file that one which exists does not have.
pub(crate) fn missing_labels<'a>(
    wanted: &'a IndexMap<String, String>,
    found: &HashMap<String, String>,
) -> Vec<&'a str> {
    let differs = |(label, value): &(&String, &String)| found.get(*label) != Some(*value);
    wanted.iter().filter(differs).map(|(label, _)| label.as_str()).collect()
}

fn is_same(found: &HashMap<String, String>, ours: &str, compose: impl FnOnce() -> String) -> bool {
    if let Some(own) = found.get(labels::DEFINITION_HASH) {
        return own == ours;
    }
    let known = found.get(labels::VERSION).is_some_and(|line| line.starts_with(COMPOSE_LINE));
    found.get(labels::CONFIG_HASH).filter(|_| known).is_none_or(|theirs| *theirs == compose())
}

/// The labels that one made by Compose has from the file.
fn of_file(found: &HashMap<String, String>) -> IndexMap<String, String> {
    let own = found.iter().filter(|(label, _)| !label.starts_with(COMPOSE_LABELS));
    own.map(|(label, value)| (label.clone(), value.clone())).collect()
}

fn other(message: String) -> Error {
    Error::new(ErrorKind::Conflict, "check the release", message).without_effect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn labelled(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    fn network(value: Value) -> Network {
        serde_json::from_value(value).unwrap()
    }

    fn volume(value: Value) -> Volume {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_written_out_is_no_change_and_what_is_noticed_is_one() {
        let plain = of_network(&network(json!({"name": "n"})));
        for same in [
            json!({"name": "n", "driver": "bridge"}),
            json!({"name": "n", "ipam": {"driver": "default"}}),
            json!({"name": "n", "labels": {"a": "b"}}),
        ] {
            assert_eq!(of_network(&network(same.clone())), plain, "{same}");
        }
        for other in [
            json!({"name": "m"}),
            json!({"name": "n", "internal": true}),
            json!({"name": "n", "ipam": {"config": [{"subnet": "10.9.0.0/24"}]}}),
            json!({"name": "n", "driver_opts": {"mtu": "1400"}}),
        ] {
            assert_ne!(of_network(&network(other.clone())), plain, "{other}");
        }
        let plain = of_volume(&volume(json!({"name": "v"})));
        let local = volume(json!({"name": "v", "driver": "local", "labels": {"a": "b"}}));
        assert_eq!(of_volume(&local), plain);
        assert_ne!(of_volume(&volume(json!({"name": "v", "driver_opts": {"o": "x"}}))), plain);
    }

    #[test]
    fn our_own_are_refused_by_name_when_they_differ() {
        let old = volume(json!({"name": "shop_data"}));
        let found = labelled(&[(labels::DEFINITION_HASH, &of_volume(&old))]);
        check_volume("data", &old, &found).unwrap();
        let new = Volume { driver_opts: [("o".to_owned(), "x".to_owned())].into(), ..old };
        let error = check_volume("data", &new, &found).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("volume shop_data exists"), "{error}");
        assert!(error.advice().unwrap().contains("`volumes.data`"), "{error:?}");

        let old = network(json!({"name": "shop_default"}));
        let found = labelled(&[(labels::DEFINITION_HASH, &of_network(&old))]);
        check_network("default", &old, &found).unwrap();
        let error =
            check_network("default", &Network { internal: true, ..old }, &found).unwrap_err();
        assert!(error.to_string().contains("network shop_default exists"), "{error}");
        assert!(error.advice().unwrap().contains("`networks.default`"), "{error:?}");
    }

    #[test]
    fn those_of_compose_are_compared_by_its_hash_whatever_their_labels() {
        let old = network(json!({"name": "shop_default", "labels": {"team": "a"}}));
        let found = labelled(&[
            ("team", "a"),
            (labels::PROJECT, "shop"),
            (labels::NETWORK, "default"),
            (labels::VERSION, "5.6.1"),
            (labels::CONFIG_HASH, &network_hash(&old)),
        ]);
        let relabelled = network(json!({"name": "shop_default"}));
        check_network("default", &relabelled, &found).unwrap();
        let internal = Network { internal: true, ..relabelled };
        check_network("default", &internal, &found).unwrap_err();
    }

    #[test]
    fn what_tells_nothing_of_its_definition_is_taken_as_it_is() {
        let wanted = network(json!({"name": "shop_default", "internal": true}));
        let older = [(labels::VERSION, "2.40.3"), (labels::CONFIG_HASH, "0123")];
        for found in [&[][..], &[(labels::VERSION, "5.6.1")], &older] {
            check_network("default", &wanted, &labelled(found)).unwrap();
        }
    }
}
