//! What can be known before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::ServiceName,
    spec::{ReleaseSpec, ServiceSpec},
};

use crate::{
    config::{Port, Service},
    disk,
    host::{Host, PATH, find_program},
    ports, process,
};

const CHECK: &str = "deploy it to this machine";

/// Checks every service of a spec.
///
/// # Errors
/// The first reason why it cannot run here.
pub(crate) fn check(host: &Host, spec: &ReleaseSpec) -> Result<()> {
    let mut fixed: BTreeMap<u16, &ServiceName> = BTreeMap::new();
    for (name, wanted) in &spec.services {
        if wanted.image.is_some() {
            let message = format!("{name} has an image, and here only commands run");
            return Err(refused(ErrorKind::Unsupported, message));
        }
        let service = Service::read(name, &wanted.config)?;
        check_files(name, wanted)?;
        check_program(name, &service, wanted)?;
        if let Port::Fixed(port) = service.port {
            if let Some(other) = fixed.insert(port, name) {
                let message = format!("{other} and {name} both have port {port}");
                return Err(refused(ErrorKind::Invalid, message)
                    .with_advice("give each a port of its own, or \"auto\""));
            }
            check_port(host, name, port)?;
        }
    }
    Ok(())
}

fn check_files(name: &ServiceName, wanted: &ServiceSpec) -> Result<()> {
    let outside = wanted.files.keys().find(|file| disk::below(file).is_none());
    match outside {
        None => Ok(()),
        Some(file) => {
            let message = format!("file `{}` of {name} leads elsewhere", file.escape_default());
            Err(refused(ErrorKind::Invalid, message)
                .with_advice("name it by a path below the project"))
        }
    }
}

fn check_program(name: &ServiceName, service: &Service, wanted: &ServiceSpec) -> Result<()> {
    let program = service.command.first().map_or("", String::as_str);
    let found = if program.starts_with('/') {
        process::is_program(program.as_ref())
    } else if program.contains('/') {
        is_among(program, wanted)
    } else {
        let path = service.env.get("PATH").map_or(PATH, String::as_str);
        let env = BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        find_program(program, "/".as_ref(), &env).is_some()
    };
    if found {
        return Ok(());
    }
    let message = format!("there is no program `{}` for {name}", program.escape_default());
    Err(refused(ErrorKind::NotFound, message).with_advice(
        "name an executable file: an absolute path, ./path below the service's files, or one in PATH",
    ))
}

/// Whether a relative program is one of the service's files, or in one of its directories.
fn is_among(program: &str, wanted: &ServiceSpec) -> bool {
    let Some(program) = disk::below(program) else { return false };
    wanted.files.iter().any(|(file, source)| {
        let below =
            disk::below(file).and_then(|file| program.strip_prefix(file).ok().map(Into::into));
        below.is_some_and(|rest: std::path::PathBuf| {
            let source =
                if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) };
            process::is_program(&source)
        })
    })
}

/// A port is free, or held by a process that this deploy may stop.
fn check_port(host: &Host, name: &ServiceName, port: u16) -> Result<()> {
    let Err(source) = ports::try_listen(port) else { return Ok(()) };
    let own: BTreeSet<_> = host
        .instances
        .all()?
        .iter()
        .filter(|instance| instance.is_up())
        .filter_map(|instance| instance.port)
        .collect();
    if own.contains(&port) {
        return Ok(());
    }
    let (kind, advice) = match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, "choose a port from 1024 on, or run it as a user who may")
        }
        _ => (ErrorKind::Conflict, "stop what listens there, or choose another port"),
    };
    Err(refused(kind, format!("port {port} of {name} cannot be used"))
        .with_advice(advice)
        .with_source(source))
}

fn refused(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, CHECK, message).without_effect()
}
