//! What a service may be written with and [`config_hash`](super::config_hash) does not reproduce:
//! our model has no place for it, because no container is made from it.

use super::field::Field;

/// Whether `service` is written with any such thing.
pub(super) fn has_any(service: &Field<'_>) -> bool {
    let get = |key: &str| service.get(key);
    let items = |key: &str| get(key).and_then(|field| field.items().ok()).unwrap_or_default();
    let values = |key: &str| get(key).and_then(|field| field.pairs().ok()).unwrap_or_default();
    let older = ["cpus", "mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness"]
        .into_iter()
        .chain(["cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime"])
        .chain(["cpu_count", "cpu_percent", "cpuset", "pids_limit"]);
    let deploy = get("deploy").filter(|deploy| !deploy.is_null());
    let deploys = |path: &[&str]| {
        path.iter().try_fold(deploy.clone()?, |field, key| field.get(key)).map(|_| ())
    };
    get("label_file").is_some()
        || get("mac_address").is_some()
        || (deploy.is_some() && older.into_iter().any(|key| get(key).is_some()))
        || deploys(&["restart_policy"]).is_some()
        || deploys(&["resources", "reservations", "cpus"]).is_some()
        // Both a test and that it is off.
        || get("healthcheck").is_some_and(|check| is_off(&check) && check.get("test").is_some())
        || items("ports").iter().any(|port| {
            ["name", "mode", "app_protocol"].iter().any(|key| port.get(key).is_some())
        })
        || items("expose").iter().any(|port| {
            port.scalar().is_ok_and(|text| text.contains('-') || text.ends_with("/tcp"))
        })
        || items("volumes").iter().any(|mount| mount.get("consistency").is_some())
        // `{}` and null are the same network and two hashes; so are settings that are empty.
        || values("networks").iter().any(|network| {
            network.value.pairs().is_ok_and(|settings| {
                settings.iter().all(|setting| setting.value.scalar().is_ok_and(|t| t.is_empty()))
            })
        })
}

fn is_off(check: &Field<'_>) -> bool {
    let disabled = check.get("disable").is_some_and(|field| field.flag().unwrap_or(false));
    let none = check
        .get("test")
        .and_then(|test| test.texts().ok())
        .is_some_and(|words| words.first().is_some_and(|word| word == "NONE"));
    disabled || none
}
