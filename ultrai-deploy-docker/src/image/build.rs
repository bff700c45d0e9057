//! Building by the engine's own builder.
//!
//! It is the classic builder of API 1.41: no session, and so no secrets, ssh or further contexts.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    body_try_stream,
    query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use ultrai_deploy_core::{
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    name::ServiceName,
    redact::Redactor,
    release::Image,
    spec::ImageSpec,
    task::TaskOutput,
};

use super::{LONGEST, Reference, Store, absent};
use crate::{
    build::BuildContext,
    compose::{model::Build, secret},
    engine::engine_error,
    labels,
    lines::{Lines, Tail},
    registry::{Credentials, Redacted, host_of},
};

/// Refuses what the builder cannot carry out, naming it.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
pub(crate) fn check(service: &str, build: &Build) -> Result<()> {
    let mut keys = build.unsupported.clone();
    let too_many = [
        ("cache_to", !build.cache_to.is_empty()),
        ("ulimits", !build.ulimits.is_empty()),
        ("platforms (more than one)", build.platforms.len() > 1),
        ("extra_hosts (more than one)", build.extra_hosts.len() > 1),
    ];
    keys.extend(too_many.iter().filter(|(_, used)| *used).map(|(key, _)| (*key).to_owned()));
    let refuse = |message: String, advice: &str| {
        let error = Error::new(ErrorKind::Unsupported, "build an image", message);
        Err(error.with_advice(advice.to_owned()).without_effect())
    };
    if !keys.is_empty() {
        return refuse(
            format!("`build` of {service} uses {}", keys.join(", ")),
            "the engine's builder cannot do it: build the image beforehand and name it in `image`",
        );
    }
    let texts = build.args.iter().chain(&build.labels);
    for (key, value) in texts {
        if let Some(name) = secret::names_in(value).first() {
            return refuse(
                format!("`build` of {service} puts the secret {name} into {key}"),
                "whoever has the image could read it: give it to the container at run time",
            );
        }
    }
    Ok(())
}

/// Builds the image of a service.
pub(super) async fn build(
    store: &Store,
    cx: &Context,
    service: &ServiceName,
    spec: &ImageSpec,
    output: &dyn TaskOutput,
) -> Result<Image> {
    let cx = cx.clone().with_timeout(LONGEST);
    let build = parse(service, spec)?;
    check(service.as_str(), &build)?;
    let context = open(service, &build).await?;
    let logins = logins(store, &cx, &context, output).await?;
    let detail = json!({ "service": service, "context": build.context });
    let options = options(&cx, service, spec, &build, context.dockerfile())?;
    let work = async {
        let id = run(store, service, options, context, &logins, output).await?;
        for tag in &build.tags {
            self::tag(store, &spec.reference, tag).await?;
        }
        let found = store.local(id.as_deref().unwrap_or(&spec.reference)).await?;
        let image = found.ok_or_else(|| {
            absent(format!("the builder is done, but the engine has no image {}", spec.reference))
        })?;
        Ok(Image { reference: spec.reference.clone(), ..image })
    };
    cx.effect("build an image", &spec.reference, detail, cx.bounded(work)).await
}

fn parse(service: &ServiceName, spec: &ImageSpec) -> Result<Build> {
    let value = spec.build.as_ref().ok_or_else(|| invalid(format!("{service} has no `build`")))?;
    Build::deserialize(value).map_err(|source| {
        invalid(format!("the `build` of {service} is not of the expected form")).with_source(source)
    })
}

async fn open(service: &ServiceName, build: &Build) -> Result<BuildContext> {
    let (service, build) = (service.to_string(), build.clone());
    let opened = tokio::task::spawn_blocking(move || {
        BuildContext::open(
            &service,
            &build.context,
            build.dockerfile.as_deref(),
            build.dockerfile_inline.as_deref(),
        )
    });
    opened.await.map_err(broke_off)?
}

/// What the builder may need to pull what the image begins from.
async fn logins(
    store: &Store,
    cx: &Context,
    context: &BuildContext,
    output: &dyn TaskOutput,
) -> Result<Vec<Credentials>> {
    let bases = context.bases();
    let references = bases.iter().filter_map(|base| Reference::parse(base));
    let registries: BTreeSet<_> =
        references.map(|reference| host_of(reference.repository)).collect();
    let mut logins = Vec::new();
    for registry in registries {
        match cx.bounded(store.registries.credentials(&registry)).await {
            Ok(login) => logins.extend(login),
            // The engine may have the image, and most are public: the builder tells when it is not.
            Err(error) => {
                cx.check()?;
                output.line(&format!("warning: no login for {registry}: {}", Chain(&error)));
            }
        }
    }
    Ok(logins)
}

fn options(
    cx: &Context,
    service: &ServiceName,
    spec: &ImageSpec,
    build: &Build,
    dockerfile: &str,
) -> Result<BuildImageOptions> {
    let too_large = |key: &str| invalid(format!("`build.{key}` of {service} is too large"));
    let args: HashMap<&str, &str> =
        build.args.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let project = cx.target().project.as_str();
    let mut all_labels: HashMap<&str, &str> =
        build.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    all_labels.insert(labels::PROJECT, project);
    all_labels.insert(labels::SERVICE, service.as_str());
    all_labels.insert(labels::VERSION, labels::COMPOSE_VERSION);
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(dockerfile)
        .t(&spec.reference)
        .buildargs(&args)
        .labels(&all_labels)
        .nocache(build.no_cache)
        .rm(true)
        .forcerm(true);
    if let Some(target) = &build.target {
        options = options.target(target);
    }
    if let Some(network) = &build.network {
        options = options.networkmode(network);
    }
    if build.pull {
        options = options.pull("true");
    }
    if let [platform] = build.platforms.as_slice() {
        options = options.platform(platform);
    }
    if let [host] = build.extra_hosts.as_slice() {
        options = options.extrahosts(host);
    }
    if !build.cache_from.is_empty() {
        options = options.cachefrom(&build.cache_from);
    }
    if let Some(size) = build.shm_size {
        let size = i32::try_from(size).map_err(|_range| too_large("shm_size"))?;
        options = options.shmsize(size);
    }
    Ok(options.build())
}

/// Sends the context, hands on the output, and returns the id that the builder names.
async fn run(
    store: &Store,
    service: &ServiceName,
    options: BuildImageOptions,
    context: BuildContext,
    logins: &[Credentials],
    output: &dyn TaskOutput,
) -> Result<Option<String>> {
    let mut redactor = Redactor::default();
    for login in logins {
        redactor.extend(login.redactor());
    }
    let output = Redacted { output, redactor: &redactor };
    let credentials =
        logins.iter().map(|login| (login.server().to_owned(), login.to_docker())).collect();
    let client = store.engine.patient_client(LONGEST).await?;
    let (sent, mut all_sent) = oneshot::channel();
    let (pieces, reader) = context.send(move |all| {
        // Whoever listened may have given up.
        let _gone = sent.send(all);
    });
    let body = body_try_stream(pieces.map(|piece| piece.map(Into::into)));
    let (mut lines, mut tail, mut id) = (Lines::default(), Tail::default(), None);
    let mut take = |line: &str| {
        // The builder begins when it has everything.
        if let Ok(all) = all_sent.try_recv() {
            output.line(&format!("build context: {} entries, {} bytes", all.entries, all.bytes));
        }
        output.line(line);
        tail.push(line);
    };
    let mut progress = client.build_image(options, Some(credentials), Some(body));
    let ended = loop {
        match progress.next().await {
            None => break Ok(()),
            Some(Err(source)) => break Err(source),
            Some(Ok(report)) => {
                id = report.aux.and_then(|aux| aux.id).or(id);
                let text = report.stream.or(report.status.map(|status| format!("{status}\n")));
                lines.push(text.unwrap_or_default().as_bytes(), &mut take);
            }
        }
    };
    lines.finish(&mut take);
    drop(progress);
    let read = reader.await.map_err(broke_off)?;
    match (ended, read) {
        (Ok(()), _) => Ok(id),
        // When reading broke off, the builder only saw a connection that closed. The other way
        // round the reader only saw a builder that had given up.
        (Err(_), Err(error)) if error.kind() != ErrorKind::Unavailable => Err(error),
        (Err(source), _) => {
            let error = engine_error("build an image", service.as_str(), source).without_effect();
            let log = Evidence::new(EvidenceKind::Log, service.as_str(), tail.into_text());
            Err(redactor.error(error.with_evidence([log])))
        }
    }
}

pub(super) async fn tag(store: &Store, image: &str, tag: &str) -> Result<()> {
    let reference = Reference::parse(tag)
        .filter(|reference| reference.digest.is_none())
        .ok_or_else(|| invalid(format!("`{tag}` in `build.tags` is no tag")))?;
    let options = TagImageOptionsBuilder::default()
        .repo(reference.repository)
        .tag(reference.version())
        .build();
    let tagged = store.engine.client().await?.tag_image(image, Some(options)).await;
    tagged.map_err(|source| engine_error("tag an image", tag, source))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "build an image", message).without_effect()
}

fn broke_off(source: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "read the build context", "the reader broke off")
        .without_effect()
        .with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_named() {
        let build = Build {
            unsupported: vec!["secrets".into(), "ssh".into()],
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            ..Build::default()
        };
        let error = check("web", &build).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
        for key in ["web", "secrets", "ssh", "platforms"] {
            assert!(error.message().contains(key), "{error}");
        }
        let one = Build { platforms: vec!["linux/amd64".into()], ..Build::default() };
        assert!(check("web", &one).is_ok());
    }

    #[test]
    fn no_secret_goes_into_an_image() {
        let mut build = Build::default();
        build.args.insert("TOKEN".into(), secret::placeholder("NPM_TOKEN"));
        let error = check("web", &build).unwrap_err();
        assert!(error.message().contains("NPM_TOKEN"), "{error}");
    }
}
