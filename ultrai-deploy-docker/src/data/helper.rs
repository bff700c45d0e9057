//! Helper containers: a volume within reach of the engine's archives, and a note of what was stopped
//! for it that outlives this program.

use std::{collections::HashMap, time::Duration};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, Mount, MountType, MountVolumeOptions,
};
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
};

use super::place::Mounted;
use crate::{
    backend::Backend,
    engine::{Anonymous, ignore_missing},
    labels, names,
};

/// The part of a backup that a helper container is for: `source/part`.
pub const PART: &str = "dev.ultrai.part";
/// What it is for: [`READ`] or [`RESTORE`].
pub(super) const USE: &str = "dev.ultrai.use";
/// The containers that run again when the helper goes, by id, separated by commas.
pub const RESUME: &str = "dev.ultrai.resume";
/// A part is read.
pub(super) const READ: &str = "read";
/// A part is put back: what is there may be half of it, and nothing starts with that.
pub(super) const RESTORE: &str = "restore";
/// Where a helper has the volume.
pub(super) const PATH: &str = "/volume";
/// The directory that everything is in, in the archive of a volume: so its own owner and mode are there.
pub(super) const DIRECTORY: &str = "volume";
/// The step in the key of helpers.
const STEP: &str = "data";
/// Longest single cleaning after the deadline of its step.
const CLEANING: Duration = Duration::from_mins(1);
/// Empties a volume; also of names that begin with a dot or a dash.
const EMPTY: &str = "cd /volume && rm -rf -- ..?* .[!.]* *";
/// Pause between looks at a helper that works.
const PAUSE: Duration = Duration::from_millis(50);
/// How many lines of what it said are shown.
const LINES: usize = 5;

/// A helper container.
#[derive(Clone, Debug)]
pub(super) struct Helper {
    id: String,
    name: String,
    /// The containers that run again when it goes.
    resume: Vec<String>,
}

/// What a helper is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// `source/part`.
    pub(super) part: &'a str,
    /// [`READ`] or [`RESTORE`].
    pub(super) purpose: &'a str,
    /// The volume's name on the engine.
    pub(super) volume: &'a str,
    pub(super) image: &'a str,
}

impl Helper {
    /// Makes one for a part, and stops what must not run meanwhile. It notes that first, so that they
    /// run again also when this program ends here.
    pub(super) async fn create(
        cx: &Context,
        backend: &Backend,
        wanted: &Wanted<'_>,
        stop: &[Mounted],
        before: Vec<String>,
    ) -> Result<Self> {
        let Wanted { part, volume, .. } = *wanted;
        let mut resume = before;
        for one in stop {
            if !resume.contains(&one.id) {
                resume.push(one.id.clone());
            }
        }
        let name = format!("{}-{STEP}-{}", cx.target().project, short(&format!("{part} {volume}")));
        let body = body(cx, wanted, &resume);
        let detail = json!({ "part": part, "volume": volume });
        let work = backend.engine.create(&name, body);
        let id = cx.effect("create a helper for a backup", &name, detail, work).await?;
        let helper = Self { id, name, resume };
        for one in stop {
            let grace = grace(backend, &one.id).await?;
            let work = backend.engine.stop(&one.id, grace);
            cx.effect("stop for a backup", &one.name, json!({ "part": part }), work).await?;
        }
        Ok(helper)
    }

    /// Its id on the engine.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Removes everything that is in the volume, by `sh` and `rm` of its image.
    pub(super) async fn empty(&self, cx: &Context, backend: &Backend, volume: &str) -> Result<()> {
        let work = async {
            backend.engine.start(&self.id).await.map_err(without_shell)?;
            let code = loop {
                let state = backend.engine.container(&self.id).await?.state.unwrap_or_default();
                if state.running != Some(true) {
                    break state.exit_code.unwrap_or(-1);
                }
                tokio::time::sleep(PAUSE).await;
            };
            if code == 0 {
                return Ok(());
            }
            let said = backend.engine.log_tail(&self.id, LINES).await.unwrap_or_default();
            let message = format!("{volume} could not be emptied ({code}): {}", said.trim());
            let error = Error::new(ErrorKind::Unexpected, "empty a volume", message);
            Err(if matches!(code, 126 | 127) { without_shell(error) } else { error })
        };
        cx.effect("empty a volume", volume, json!({}), work).await
    }

    /// Lets what was stopped run again and removes it. Works after the deadline and a cancellation.
    pub(super) async fn finish(self, cx: &Context, backend: &Backend) -> Result<()> {
        for id in &self.resume {
            // One that was removed meanwhile is not needed any more.
            let work = async { ignore_missing(backend.engine.start(id).await) };
            late(cx, "start again after a backup", &short_id(id), work).await?;
        }
        let work = backend.engine.remove(&self.id, Anonymous::Remove);
        late(cx, "remove a helper", &self.name, work).await
    }
}

/// The helpers of a project for parts of a source, or for one part, with what they are for.
pub(super) async fn left(
    cx: &Context,
    backend: &Backend,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(Helper, bool)>> {
    let filters = [labels::filter(labels::PROJECT, cx.target().project.as_str()), PART.to_owned()];
    let mut found = Vec::new();
    for one in backend.engine.containers(&filters).await? {
        let labels = one.labels.unwrap_or_default();
        let (Some(id), Some(part)) = (one.id, labels.get(PART)) else { continue };
        if !is_wanted(part) {
            continue;
        }
        let name = one.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        let resume = labels.get(RESUME).map(|ids| ids.split(',')).into_iter().flatten();
        let resume = resume.filter(|id| !id.is_empty()).map(ToOwned::to_owned).collect();
        let helper = Helper { id, name: names::plain(&name).to_owned(), resume };
        found.push((helper, labels.get(USE).map(String::as_str) == Some(READ)));
    }
    Ok(found)
}

/// Removes a helper whose work is taken over; what runs again after that is returned.
pub(super) async fn take_over(
    cx: &Context,
    backend: &Backend,
    helper: Helper,
) -> Result<Vec<String>> {
    let work = backend.engine.remove(&helper.id, Anonymous::Remove);
    late(cx, "remove a helper", &helper.name, work).await?;
    Ok(helper.resume)
}

async fn late(
    cx: &Context,
    action: &str,
    object: &str,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    if cx.check().is_ok() {
        return cx.effect(action, object, json!({}), work).await;
    }
    cx.guard().await?;
    tokio::time::timeout(CLEANING, work).await.unwrap_or_else(|_elapsed| {
        let message =
            format!("the engine has not done it within {} s: {object}", CLEANING.as_secs());
        Err(Error::new(ErrorKind::Timeout, "clean up after a backup", message))
    })
}

/// How long a container may take to stop.
async fn grace(backend: &Backend, id: &str) -> Result<Duration> {
    let found = backend.engine.find_container(id).await?;
    let container = found.and_then(crate::snapshot::Container::new);
    Ok(container.map_or(Duration::from_secs(10), |one| one.grace()))
}

fn body(cx: &Context, wanted: &Wanted<'_>, resume: &[String]) -> ContainerCreateBody {
    let Wanted { part, purpose, volume, image } = *wanted;
    let run = labels::of_run(
        cx.for_step(STEP, cx.key().attempt).key(),
        cx.target().environment.as_str(),
        ultrai_deploy_core::deployer::Step::Stage,
    );
    // Without a service and a number nobody takes it for one of a service's own.
    let mut all: HashMap<_, _> = run.into_iter().collect();
    all.extend(
        [
            (labels::PROJECT, cx.target().project.as_str()),
            (labels::STEP, STEP),
            (labels::ONEOFF, "True"),
            (PART, part),
            (USE, purpose),
            (RESUME, &resume.join(",")),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned())),
    );
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(PATH.to_owned()),
        read_only: Some(purpose == READ),
        // Nothing of the image is put into a volume that is empty.
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(["sh", "-c", EMPTY].map(ToOwned::to_owned).into()),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        labels: Some(all),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![mount]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(["DAC_OVERRIDE", "FOWNER"].map(ToOwned::to_owned).into()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn without_shell(error: Error) -> Error {
    error.with_advice(
        "the image must have `sh` and `rm`: name one on the engine that has as `helper_image`",
    )
}

fn short(text: &str) -> String {
    let digest = ultrai_deploy_core::digest::sha256(text.as_bytes());
    digest.chars().take(12).collect()
}

fn short_id(id: &str) -> String {
    id.chars().take(12).collect()
}
