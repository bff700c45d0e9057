//! Processes that die at every record of a run, over a platform that is spoken to.

use std::sync::Arc;

use ultrai_deploy_core::{lease::Wait, pipeline::DeployRequest};

use super::{Fake, Lab, ended, ok, spec, succeeded};
use crate::crash::{self, Files, When};

/// Upgrades of the first service to `tag`, whose process dies at every record of its journal in turn,
/// and what the next process makes of it. Returns how many cases ran.
///
/// # Panics
/// When one does not end with a whole release, or with another one than `tag` deserves.
pub async fn kills<F: Fake>(make: impl AsyncFn() -> F, when: When, tag: &str) -> usize {
    let make = &make;
    crash::every_point(when, |death| async move {
        let lab = Lab::new(make().await);
        let first = lab.deploy("1.0.0").await;
        assert!(succeeded(&first), "{first}");
        let state = lab.state();
        let journal = crash::Journal::tearing(Arc::new(Files::of(&state)), death.clone());
        let pipeline = lab.process_with(state, Arc::new(journal));
        let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", [tag, "1.1.0"])));
        let report = death.or(run.join()).await.map(ok);
        drop(pipeline);
        let report = match report {
            Some(report) => report,
            None => match ok(lab.process().resume(false, Wait::No).await) {
                Some(run) => ok(run.join().await),
                // It had not come as far as the environment, or was over.
                None => lab.deploy_tags("1.1.0", [tag, "1.1.0"]).await,
            },
        };
        let point = death.point();
        let is_sick = tag.contains("sick");
        match ended(&report) {
            "succeeded" | "succeeded, nothing changed" if !is_sick => lab.assert_serves("1.1.0"),
            "rolled back" | "refused" => lab.assert_serves("1.0.0"),
            _ => panic!("{when:?} {point}: {report}"),
        }
    })
    .await
}
