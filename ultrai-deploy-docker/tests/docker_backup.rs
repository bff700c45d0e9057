//! What a backup tells about a project's containers.

mod support;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{ErrorKind, backup::BackupSource, file};
use ultrai_deploy_docker::{
    backup::ProjectSource,
    bollard::{models::ContainerCreateBody, query_parameters::CreateContainerOptionsBuilder},
    labels,
};

use self::support::BUSYBOX;

#[tokio::test]
async fn containers_and_images_without_values_of_the_environment() {
    let engine = support::engine();
    let docker = support::busybox(&engine).await;
    let cx = support::context();
    let state = tempfile::tempdir().unwrap();
    let files = file::open(state.path(), cx.target()).unwrap();
    let source = ProjectSource::new(engine, files.releases);
    assert_eq!(source.parts(&cx).await.unwrap(), [""; 0]);

    let project = cx.target().project.to_string();
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.into()),
        cmd: Some(vec!["sleep".into(), "1".into()]),
        env: Some(vec!["PASSWORD=correct-horse".into()]),
        labels: Some([(labels::PROJECT.to_owned(), project.clone())].into()),
        ..ContainerCreateBody::default()
    };
    let name = format!("{project}-web-1");
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let id = docker.create_container(Some(options), body).await.unwrap().id;

    let parts = source.parts(&cx).await.unwrap();
    assert_eq!(parts, ["containers.json", "images.json"]);
    let mut texts = Vec::new();
    for part in &parts {
        let mut text = String::new();
        source.read(&cx, part).await.unwrap().read_to_string(&mut text).await.unwrap();
        assert!(!text.contains("correct-horse"), "{text}");
        let content = text.clone().into_bytes();
        source.restore(&cx, part, Box::pin(std::io::Cursor::new(content))).await.unwrap();
        let restored = files.root.join(format!("restored/docker-{part}"));
        assert_eq!(std::fs::read_to_string(restored).unwrap(), text);
        texts.push(serde_json::from_str::<Value>(&text).unwrap());
    }
    assert_eq!(texts[0][0]["Id"], Value::from(id.as_str()));
    assert!(texts[0][0]["Config"]["Env"].as_array().unwrap().contains(&"PASSWORD".into()));
    assert_eq!(texts[1][0]["container"], Value::from(name));
    assert_eq!(texts[1][0]["reference"], BUSYBOX);
    assert!(texts[1][0]["id"].as_str().unwrap().starts_with("sha256:"));

    let unknown = source.read(&cx, "../x").await.err().unwrap();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    docker.remove_container(&id, None).await.unwrap();
}
