//! Limits: `deploy.resources`, the older `mem_*`, `cpu*` and `pids_limit`, ulimits; and what else
//! stands under `deploy`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    field::{Field, Pair, Result},
    model::{Resources, Restart, Service, Ulimit},
};

/// Reads all limits of a service, and `deploy`.
pub(super) fn read(service: &mut Service, field: &Field<'_>) -> Result<()> {
    let mut resources = Resources::default();
    for pair in field.pairs()? {
        let value = &pair.value;
        match pair.key {
            "mem_limit" => resources.memory = set_number(value.size()?),
            "mem_reservation" => resources.memory_reservation = set_number(value.size()?),
            "memswap_limit" => {
                let unlimited = value.scalar()? == "-1";
                resources.memory_swap = Some(if unlimited { -1 } else { value.size()? });
            }
            "mem_swappiness" => resources.memory_swappiness = set_number(value.integer()?),
            "cpus" => resources.nano_cpus = set_number(nano_cpus(value)?),
            "cpu_shares" => resources.cpu_shares = set_number(value.integer()?),
            "cpu_period" => resources.cpu_period = set_number(micros(value)?),
            "cpu_quota" => resources.cpu_quota = set_number(micros(value)?),
            "cpu_rt_period" => resources.cpu_rt_period = set_number(micros(value)?),
            "cpu_rt_runtime" => resources.cpu_rt_runtime = set_number(micros(value)?),
            "cpu_count" => resources.cpu_count = set_number(value.integer()?),
            "cpu_percent" => resources.cpu_percent = set_number(percent(value)?),
            "cpuset" => resources.cpuset = value.set_text()?,
            "pids_limit" => resources.pids = set_number(value.integer()?),
            _ => {}
        }
    }
    service.resources = resources;
    if let Some(deploy) = field.get("deploy") {
        service.resources.from_deploy = !deploy.is_null();
        read_deploy(service, &deploy)?;
    }
    Ok(())
}

/// Compose takes 0 for unset.
fn set_number(number: i64) -> Option<i64> {
    Some(number).filter(|number| *number != 0)
}

fn percent(field: &Field<'_>) -> Result<i64> {
    let percent = field.integer()?;
    if !(0..=100).contains(&percent) {
        return Err(field.problem(format!("{percent} is no percentage; write 0 to 100")));
    }
    Ok(percent)
}

/// Reads a number of containers.
pub(super) fn replicas(field: &Field<'_>) -> Result<u32> {
    let replicas = field.small()?;
    if replicas == 0 {
        // A service has to prove that it works, and nothing cannot.
        return Err(field.problem(
            "a service without containers is not supported; write 1 or more, or take the service \
             out of the file: its containers are removed then",
        ));
    }
    Ok(replicas)
}

/// Reads `ulimits:`.
pub(super) fn ulimits(field: &Field<'_>) -> Result<BTreeMap<String, Ulimit>> {
    let mut ulimits = BTreeMap::new();
    for entry in field.pairs()? {
        let value = &entry.value;
        let ulimit = if value.is_scalar() {
            let both = value.integer()?;
            Ulimit { soft: both, hard: both }
        } else {
            let part = |key: &str| match value.get(key) {
                Some(field) => field.integer(),
                None => Err(value.problem(format!("`{key}:` is missing"))),
            };
            for pair in value.pairs()? {
                if !matches!(pair.key, "soft" | "hard") && !pair.is_extension() {
                    return Err(pair.unknown(&["soft", "hard"]));
                }
            }
            Ulimit { soft: part("soft")?, hard: part("hard")? }
        };
        ulimits.insert(entry.key.to_owned(), ulimit);
    }
    Ok(ulimits)
}

fn read_deploy(service: &mut Service, field: &Field<'_>) -> Result<()> {
    for pair in field.pairs_or_null()? {
        let value = &pair.value;
        match pair.key {
            "replicas" => {
                let replicas = replicas(value)?;
                if service.scale.is_some_and(|scale| scale != replicas) {
                    return Err(value.problem("`scale` and `deploy.replicas` differ; keep one"));
                }
                service.scale = Some(replicas);
            }
            "resources" => deploy_resources(service, value)?,
            "restart_policy" => service.restart = Some(restart_policy(value)?),
            "update_config" | "rollback_config" => {
                return Err(pair.unsupported(
                    "replacement is start-first where it can be, and a failure rolls back",
                ));
            }
            "labels" | "mode" | "endpoint_mode" | "placement" => {
                return Err(pair.unsupported("it is for clusters; remove it"));
            }
            _ if pair.is_extension() => {}
            _ => return Err(pair.unknown(&["replicas", "resources", "restart_policy"])),
        }
    }
    Ok(())
}

fn deploy_resources(service: &mut Service, field: &Field<'_>) -> Result<()> {
    let resources = &mut service.resources;
    for part in field.pairs()? {
        for pair in part.value.pairs()? {
            let value = &pair.value;
            match (part.key, pair.key) {
                ("limits", "cpus") => {
                    set(&mut resources.nano_cpus, nano_cpus(value)?, "cpus", &pair)?;
                }
                ("limits", "memory") => {
                    value.text()?;
                    set(&mut resources.memory, value.size()?, "mem_limit", &pair)?;
                }
                ("limits", "pids") => {
                    set(&mut resources.pids, value.integer()?, "pids_limit", &pair)?;
                }
                ("reservations", "memory") => {
                    value.text()?;
                    let size = value.size()?;
                    set(&mut resources.memory_reservation, size, "mem_reservation", &pair)?;
                }
                // One engine cannot reserve processors; Compose reads this and does nothing.
                ("reservations", "cpus") => {
                    nano_cpus(value)?;
                }
                ("reservations", "devices" | "generic_resources") => {
                    return Err(pair.unsupported("remove it"));
                }
                _ if pair.is_extension() => {}
                ("limits", _) => return Err(pair.unknown(&["cpus", "memory", "pids"])),
                ("reservations", _) => return Err(pair.unknown(&["cpus", "memory"])),
                _ => return Err(part.unknown(&["limits", "reservations"])),
            }
        }
    }
    Ok(())
}

/// Sets a limit that an older key must not contradict.
fn set(slot: &mut Option<i64>, value: i64, older: &str, pair: &Pair<'_>) -> Result<()> {
    if slot.is_some_and(|set| set != value) {
        return Err(pair.value.problem(format!("it contradicts `{older}`; keep one of them")));
    }
    *slot = Some(value);
    Ok(())
}

fn restart_policy(field: &Field<'_>) -> Result<Restart> {
    let mut condition = "any".to_owned();
    let mut attempts = None;
    for pair in field.pairs()? {
        match pair.key {
            "condition" => {
                pair.value.one_of(&[("none", ()), ("on-failure", ()), ("any", ())])?;
                condition = pair.value.text()?;
            }
            "max_attempts" => attempts = Some(pair.value.small()?),
            "delay" | "window" => {
                return Err(pair.unsupported("the engine chooses its own pauses; remove it"));
            }
            _ if pair.is_extension() => {}
            _ => return Err(pair.unknown(&["condition", "max_attempts"])),
        }
    }
    Ok(match condition.as_str() {
        "none" => Restart::No,
        "on-failure" => Restart::OnFailure(attempts),
        _ => Restart::Always,
    })
}

fn nano_cpus(field: &Field<'_>) -> Result<i64> {
    let cpus = field.number()?;
    if !(0.0..=1_000_000.0).contains(&cpus) {
        return Err(field.problem("it must be a number of processors, for example 0.5"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Ok((cpus * 1e9).round() as i64)
}

/// Microseconds, as a number or as a duration.
fn micros(field: &Field<'_>) -> Result<i64> {
    let text = field.scalar()?;
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let duration: Duration = field.duration()?;
    i64::try_from(duration.as_micros()).map_err(|_| field.problem("it is too long"))
}
