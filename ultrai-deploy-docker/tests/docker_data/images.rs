//! The images themselves.

use ultrai_deploy_core::{ErrorKind, backup::BackupSource};
use ultrai_deploy_docker::{
    bollard::{
        models::ContainerConfig,
        query_parameters::{
            CommitContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
        },
    },
    data::Images,
};

use crate::bench::Bench;

#[tokio::test]
async fn an_image_that_the_engine_lost_is_loaded() {
    let bench = Bench::new().await;
    let first = bench.idle("first", &[], &[]).await;
    bench.sh(&first, "echo marked >/mark").await.unwrap();
    let options = CommitContainerOptionsBuilder::default().container(&first).build();
    let image =
        bench.docker.commit_container(options, ContainerConfig::default()).await.unwrap().id;
    let force = || Some(RemoveContainerOptionsBuilder::default().force(true).build());
    bench.docker.remove_container(&first, force()).await.unwrap();
    let second = bench.service("web", &image, &["sleep", "600"], &[], &[]).await;

    let source = Images::new(bench.engine.clone(), bench.releases());
    let hex = image.strip_prefix("sha256:").unwrap();
    assert_eq!(source.parts(&bench.cx).await.unwrap(), [hex]);
    let content = bench.keep(&source, hex).await.unwrap();

    bench.docker.remove_container(&second, force()).await.unwrap();
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    bench.docker.remove_image(&image, Some(options.clone()), None).await.unwrap();
    bench.docker.inspect_image(&image).await.unwrap_err();
    let error = bench.put_back(&source, hex, &content[..content.len() / 2]).await.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::NotFound);

    bench.put_back(&source, hex, &content).await.unwrap();
    let third = bench.service("web", &image, &["sleep", "600"], &[], &[]).await;
    assert_eq!(bench.sh(&third, "cat /mark").await.unwrap(), "marked");
    // One that is there is not looked at.
    bench.put_back(&source, hex, b"").await.unwrap();
    bench.docker.remove_container(&third, force()).await.unwrap();
    bench.docker.remove_image(&image, Some(options), None).await.unwrap();
    bench.clean().await;
}
