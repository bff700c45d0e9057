//! How an image is built.

use super::{
    field::{Field, Result},
    limits,
    load::Scope,
    model::Build,
    service,
};

/// Keys that are read and refused by name in the plan: the engine's classic builder has no way
/// to carry them out.
const NOT_CARRIED_OUT: [&str; 9] = [
    "secrets",
    "ssh",
    "additional_contexts",
    "privileged",
    "entitlements",
    "provenance",
    "sbom",
    "isolation",
    "no_cache_filter",
];

/// Reads `build:`.
pub(super) fn read(field: &Field<'_>, scope: &Scope<'_>) -> Result<Build> {
    let mut build = Build::default();
    let mut context = ".".to_owned();
    if field.is_scalar() {
        context = field.text()?;
    } else {
        for pair in field.pairs()? {
            let value = &pair.value;
            match pair.key {
                "context" => context = value.text()?,
                "dockerfile" => build.dockerfile = value.set_text()?,
                "dockerfile_inline" => build.dockerfile_inline = value.set_text()?,
                "args" => {
                    for (name, given) in value.assignments()? {
                        if let Some(text) = given.or_else(|| scope.variables.text(&name)) {
                            build.args.insert(name, text);
                        }
                    }
                }
                "target" => build.target = value.set_text()?,
                "labels" => build.labels = value.labels()?,
                "cache_from" => build.cache_from = value.texts()?,
                "cache_to" => build.cache_to = value.texts()?,
                "network" => build.network = value.set_text()?,
                "no_cache" => build.no_cache = value.flag()?,
                "pull" => build.pull = value.flag()?,
                "platforms" => build.platforms = value.texts()?,
                "tags" => build.tags = value.texts()?,
                "extra_hosts" => build.extra_hosts = service::extra_hosts(value)?,
                "shm_size" => build.shm_size = Some(value.size()?),
                "ulimits" => build.ulimits = limits::ulimits(value)?,
                key if NOT_CARRIED_OUT.contains(&key) => build.unsupported.push(key.to_owned()),
                _ if pair.is_extension() => {}
                _ => {
                    return Err(pair.unknown(&[
                        "context",
                        "dockerfile",
                        "dockerfile_inline",
                        "args",
                        "target",
                        "labels",
                        "cache_from",
                        "cache_to",
                        "network",
                        "no_cache",
                        "pull",
                        "platforms",
                        "tags",
                        "extra_hosts",
                        "shm_size",
                        "ulimits",
                    ]));
                }
            }
        }
    }
    if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
        return Err(field.problem("`dockerfile` and `dockerfile_inline` exclude each other"));
    }
    if context.contains("://") || context.starts_with("git@") {
        return Err(field.problem(format!(
            "the remote build context `{context}` is not supported yet; use a directory"
        )));
    }
    build.context = scope.absolute(&context);
    Ok(build)
}
