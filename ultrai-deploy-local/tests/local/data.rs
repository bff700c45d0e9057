//! Data of processes: kept, destroyed, put back.

use std::{collections::BTreeMap, fs, io::Cursor};

use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{Context, Error, ErrorKind, backup::BackupSource, name::RunId};
use ultrai_deploy_local::{
    Port, Service,
    data::{Command, Directories, Directory, Dump, While},
};
use ultrai_deploy_testkit::conformance::Environment;

use crate::{
    drive::deploy,
    platform::{Place, name, sealed},
};

/// A deployed service that runs and does nothing.
async fn serving() -> (Place, Context) {
    let place = Place::new();
    let idle = Service::new(["sh", "-c", "exec sleep 600"])
        .with_env("GREETING", "hello")
        .with_port(Port::None);
    let services = BTreeMap::from([(name("db"), sealed(&idle, &[]))]);
    deploy(&place, &place.seal("1.0.0", services).await).await;
    let cx = Context::detached(place.target(), RunId::generate());
    (place, cx)
}

async fn keep(cx: &Context, of: &dyn BackupSource, part: &str) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    match of.read(cx, part).await?.read_to_end(&mut content).await {
        Ok(_count) => Ok(content),
        Err(error) => Err(error.downcast().unwrap()),
    }
}

#[tokio::test]
async fn a_command_has_the_environment_of_its_service() {
    let (place, cx) = serving().await;
    let kept = place.base().join("kept");
    let dump = Dump::new(
        "db",
        name("db"),
        ["sh", "-c", "head -c 300000 /dev/zero; echo $GREETING $MORE"],
        ["sh", "-c", "cat >$TO"],
    )
    .with_variable("MORE", "more")
    .with_variable("TO", kept.to_str().unwrap());
    let source = Command::new(place.local(), dump);
    assert_eq!(source.parts(&cx).await.unwrap(), ["dump"]);
    let content = keep(&cx, &source, "dump").await.unwrap();
    assert!(content.len() > 300_000 && content.ends_with(b"\0hello more\n"));
    source.restore(&cx, "dump", Box::pin(Cursor::new(content.clone()))).await.unwrap();
    assert_eq!(fs::read(&kept).unwrap(), content);

    let fails = Dump::new(
        "db",
        name("db"),
        ["sh", "-c", "head -c 300000 /dev/zero; echo why >&2; exit 1"],
        ["sh", "-c", "echo why not >&2; exit 4"],
    );
    let source = Command::new(place.local(), fails);
    let error = keep(&cx, &source, "dump").await.unwrap_err();
    assert!(error.to_string().contains("`db` of db ended with exit status: 1: why"), "{error}");
    let large = Box::pin(Cursor::new(vec![0; 3_000_000]));
    let error = source.restore(&cx, "dump", large).await.unwrap_err();
    assert!(error.to_string().contains("exit status: 4: why not"), "{error}");
}

#[tokio::test]
async fn a_directory_comes_back_whole_and_what_writes_to_it_is_stopped() {
    let (place, cx) = serving().await;
    let path = place.base().join("data");
    fs::create_dir_all(path.join("a")).unwrap();
    fs::write(path.join("a/file"), "one").unwrap();
    let directory = Directory::new("files", &path, While::Stopped).with_service(name("db"));
    let source = Directories::new(place.local(), "data", vec![directory]);
    assert_eq!(source.parts(&cx).await.unwrap(), ["files"]);

    let before = place.processes();
    let reader = source.read(&cx, "files").await.unwrap();
    assert_eq!(place.processes(), [], "it is stopped while it is read");
    // As after a kill.
    drop(reader);
    source.settle(&cx).await.unwrap();
    assert_eq!(place.processes().len(), 1);
    let content = keep(&cx, &source, "files").await.unwrap();
    assert_eq!(place.processes().len(), 1);
    assert_ne!(place.processes(), before);

    fs::write(path.join("a/file"), "destroyed").unwrap();
    fs::write(path.join("newer"), "x").unwrap();
    let half = Box::pin(Cursor::new(content[..1000].to_vec()));
    let error = source.restore(&cx, "files", half).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(path.join("a/file")).unwrap(), "destroyed", "nothing is half");
    assert_eq!(place.processes().len(), 1);

    source.restore(&cx, "files", Box::pin(Cursor::new(content))).await.unwrap();
    assert_eq!(fs::read_to_string(path.join("a/file")).unwrap(), "one");
    assert!(!path.join("newer").exists());
    assert_eq!(place.processes().len(), 1);
    let left = fs::read_dir(place.base()).unwrap().map(|one| one.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains(".ultrai-")));
}
