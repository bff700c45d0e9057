use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{Arc, Mutex},
};

use futures_util::StreamExt;
use tar::EntryType;
use ultrai_deploy_core::error::ErrorKind;

use super::{BuildContext, archive::Sent};

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn open(root: &Path, dockerfile: Option<&str>, inline: Option<&str>) -> BuildContext {
    BuildContext::open("web", root, dockerfile, inline).unwrap()
}

async fn bytes(context: BuildContext) -> Vec<u8> {
    let (mut pieces, reader) = context.send(|_| {});
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend(piece.unwrap());
    }
    reader.await.unwrap().unwrap();
    bytes
}

/// Path → content, in order of the stream.
async fn entries(context: BuildContext) -> Vec<(String, String)> {
    let bytes = bytes(context).await;
    let mut archive = tar::Archive::new(bytes.as_slice());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (path.trim_end_matches('/').to_owned(), text)
        })
        .collect()
}

async fn paths(context: BuildContext) -> Vec<String> {
    entries(context).await.into_iter().map(|(path, _)| path).collect()
}

#[tokio::test]
async fn ignored_files_stay_but_the_builder_gets_its_own() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), ".dockerignore", "*\n!src\nsrc/*.tmp\n!deep/a/keep\n");
    for path in ["Dockerfile", "secret.env", "src/main.rs", "src/x.tmp", "deep/a/keep", "deep/b/x"]
    {
        write(root.path(), path, path);
    }
    let paths = paths(open(root.path(), None, None)).await;
    let expected =
        [".dockerignore", "Dockerfile", "deep", "deep/a", "deep/a/keep", "src", "src/main.rs"];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn the_dockerfiles_own_ignore_file_comes_first() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), ".dockerignore", "a");
    write(root.path(), "docker/web.dockerignore", "b");
    for path in ["docker/web", "a", "b"] {
        write(root.path(), path, "");
    }
    let context = open(root.path(), Some("./docker/../docker/web"), None);
    assert_eq!(context.dockerfile(), "docker/web");
    let paths = paths(context).await;
    assert!(paths.contains(&"a".to_owned()) && !paths.contains(&"b".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn what_an_entry_is_stays() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "Dockerfile", "FROM scratch");
    write(root.path(), "run.sh", "#!/bin/sh");
    let long = format!("{}/{}", "d".repeat(90), "ä".repeat(90));
    write(root.path(), &long, "long");
    fs::set_permissions(root.path().join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("run.sh", root.path().join("link")).unwrap();
    symlink("/nowhere", root.path().join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();

    let bytes = bytes(open(root.path(), None, None)).await;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut seen = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert!(header.mtime().unwrap() > 0);
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let path = entry.path().unwrap().display().to_string();
        seen.insert(path, (header.entry_type(), header.mode().unwrap() & 0o777, link));
    }
    assert_eq!(seen["run.sh"], (EntryType::Regular, 0o750, None));
    assert_eq!(seen["link"].2.as_deref(), Some("run.sh"));
    assert_eq!(seen["dangling"].2.as_deref(), Some("/nowhere"));
    assert!(seen.contains_key(&long));
    assert!(!seen.contains_key("socket"));
}

#[tokio::test]
async fn an_added_dockerfile_is_hidden_from_the_image() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "context/a", "");
    write(root.path(), "elsewhere/web.Dockerfile", "FROM scratch\n");
    let directory = root.path().join("context");
    for (dockerfile, inline) in
        [(Some("../elsewhere/web.Dockerfile"), None), (None, Some("FROM scratch\n"))]
    {
        let context = open(&directory, dockerfile, inline);
        let name = context.dockerfile().to_owned();
        assert!(name.starts_with(".dockerfile."), "{name}");
        let entries = entries(context).await;
        let expected = [
            ("a", ""),
            (".dockerignore", &format!(".dockerignore\n{name}\n")),
            (&name, "FROM scratch\n"),
        ];
        assert_eq!(entries, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }
    write(&directory, ".dockerignore", "b");
    let entries = entries(open(&directory, None, Some("FROM scratch\n"))).await;
    assert!(entries[1].1.starts_with("b\n.dockerfile."), "{entries:?}");
}

#[tokio::test]
async fn a_dockerfile_that_is_a_link_is_sent_as_what_it_leads_to() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "elsewhere", "FROM scratch");
    write(root.path(), "context/a", "");
    symlink("../elsewhere", root.path().join("context/Dockerfile")).unwrap();
    let entries = entries(open(&root.path().join("context"), None, None)).await;
    assert_eq!(entries.last().map(|(_, content)| content.as_str()), Some("FROM scratch"));
}

#[tokio::test]
async fn the_same_directory_gives_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    for path in ["Dockerfile", "z", "a/b", "a/a", "m"] {
        write(root.path(), path, path);
    }
    let first = bytes(open(root.path(), None, None)).await;
    assert_eq!(first, bytes(open(root.path(), None, None)).await);
}

#[tokio::test]
async fn a_large_context_comes_in_pieces_and_is_counted() {
    const SIZE: usize = 3_000_000;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "Dockerfile", "");
    write(root.path(), "large", &"x".repeat(SIZE));
    let counted = Arc::new(Mutex::new(None));
    let told = Arc::clone(&counted);
    let (pieces, reader) = open(root.path(), None, None).send(move |sent| {
        *told.lock().unwrap() = Some(sent);
    });
    let sizes: Vec<_> = pieces.map(|piece| piece.unwrap().len()).collect().await;
    reader.await.unwrap().unwrap();
    assert!(sizes.len() > 30 && sizes.iter().all(|size| *size <= 128 * 1024), "{sizes:?}");
    assert_eq!(*counted.lock().unwrap(), Some(Sent { entries: 2, bytes: SIZE as u64 }));
}

#[tokio::test]
async fn a_dropped_stream_ends_the_reader() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "Dockerfile", "");
    write(root.path(), "large", &"x".repeat(3_000_000));
    let (pieces, reader) = open(root.path(), None, None).send(|_| {});
    drop(pieces);
    assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_file_that_vanishes_is_named() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "Dockerfile", "");
    let context = open(root.path(), None, None);
    drop(root);
    let (pieces, reader) = context.send(|_| {});
    let last = pieces.collect::<Vec<_>>().await.pop();
    assert!(
        last.is_some_and(|piece| piece.is_err()),
        "a stream that broke off must not look whole"
    );
    assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn what_is_missing_is_named() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    let error = BuildContext::open("web", &missing, None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("web") && error.message().contains("missing"), "{error}");

    for dockerfile in [None, Some("other"), Some("../other"), Some(".")] {
        let error = BuildContext::open("web", root.path(), dockerfile, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let path = root.path().join(dockerfile.unwrap_or("Dockerfile"));
        assert!(error.message().contains(&path.display().to_string()), "{error}");
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
    }

    write(root.path(), "Dockerfile", "");
    write(root.path(), ".dockerignore", "ok\n[bad\n");
    let error = BuildContext::open("web", root.path(), None, None).unwrap_err();
    let chain = ultrai_deploy_core::Chain(&error).to_string();
    assert!(chain.contains(".dockerignore") && chain.contains("line 2"), "{chain}");
}
