//! Volumes, file by file.

use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{ErrorKind, backup::BackupSource};
use ultrai_deploy_docker::data::{Volume, Volumes, While};

use crate::bench::Bench;

const FILL: &str = "cd /data && mkdir -p a/.hidden 'b c' && head -c 300001 /dev/urandom >a/large \
    && echo one >a/.hidden/one && : >empty && printf 'x' >-dash && ln -s a/large link \
    && ln -s ../a/large 'b c/up' && chmod 640 a/large && chmod 1777 'b c' && chmod 4755 empty \
    && chown 1234:5678 a/large && chown -h 99:98 link && chown 42 a/.hidden && chmod 2750 . && chown 7:8 . \
    && ln a/large a/other && touch -d '2001-02-03 04:05:06' a/large 'b c'";
/// Names, kinds, modes, owners, times, links and contents.
const DESCRIBE: &str = "cd /data && find . | sort | while read -r one; do \
    stat -c '%n %f %u %g %h' \"$one\"; [ -L \"$one\" ] || stat -c '%Y' \"$one\"; done; \
    find . -type f | sort | while read -r one; do sha256sum \"$one\"; done; readlink link";

fn source(bench: &Bench, state: While) -> Volumes {
    let volumes = vec![Volume::new("data", state)];
    Volumes::new(bench.engine.clone(), bench.releases(), "files", volumes)
}

#[tokio::test]
async fn a_volume_comes_back_byte_for_byte() {
    let bench = Bench::new().await;
    bench.volume("data").await;
    let web = bench.idle("web", &[], &["data:/data"]).await;
    let reader = bench.idle("reader", &[], &["data:/data:ro"]).await;
    bench.sh(&web, FILL).await.unwrap();
    let before = bench.sh(&web, DESCRIBE).await.unwrap();

    let source = source(&bench, While::Stopped);
    assert_eq!(source.parts(&bench.cx).await.unwrap(), ["data"]);
    let (was_started, reader_started) = (bench.started(&web).await, bench.started(&reader).await);
    let mut reading = source.read(&bench.cx, "data").await.unwrap();
    let mut content = vec![0; 1];
    reading.read_exact(&mut content).await.unwrap();
    assert!(!bench.is_running(&web).await, "what writes is stopped");
    assert!(bench.is_running(&reader).await, "what only reads is not");
    reading.read_to_end(&mut content).await.unwrap();
    assert!(bench.is_running(&web).await);
    assert_ne!(bench.started(&web).await, was_started);
    assert_eq!(bench.started(&reader).await, reader_started);
    assert_eq!(bench.containers().await, 2, "no helper is left");

    let spoil =
        "cd /data && rm -r a/large link && echo else >empty && echo new >..new && echo n >.new";
    bench.sh(&web, spoil).await.unwrap();
    bench.put_back(&source, "data", &content).await.unwrap();
    assert!(bench.is_running(&web).await && bench.is_running(&reader).await);
    assert_ne!(bench.started(&reader).await, reader_started, "what reads was stopped, too");
    assert_eq!(bench.sh(&web, DESCRIBE).await.unwrap(), before);
    assert_eq!(bench.containers().await, 2);

    // Into another project, where the volume is empty and nothing runs.
    let other = Bench::new().await;
    other.volume("data").await;
    let there = other.idle("web", &[], &["data:/data"]).await;
    let target = Volumes::new(
        other.engine.clone(),
        other.releases(),
        "files",
        vec![Volume::new("data", While::Running)],
    );
    other.put_back(&target, "data", &content).await.unwrap();
    assert_eq!(other.sh(&there, DESCRIBE).await.unwrap(), before);
    other.clean().await;
    bench.clean().await;
}

#[tokio::test]
async fn services_go_on_where_that_is_said() {
    let bench = Bench::new().await;
    bench.volume("data").await;
    let web = bench.idle("web", &[], &["data:/data"]).await;
    bench.sh(&web, "echo one >/data/one").await.unwrap();
    let was_started = bench.started(&web).await;
    let content = bench.keep(&source(&bench, While::Running), "data").await.unwrap();
    assert!(content.len() > 1024);
    assert_eq!(bench.started(&web).await, was_started);
    assert_eq!(bench.containers().await, 1);
    bench.clean().await;
}

#[tokio::test]
async fn what_was_stopped_runs_again_when_nobody_reads_on() {
    let bench = Bench::new().await;
    bench.volume("data").await;
    let web = bench.idle("web", &[], &["data:/data"]).await;
    bench.sh(&web, "head -c 3000000 /dev/urandom >/data/large").await.unwrap();
    let reader = source(&bench, While::Stopped).read(&bench.cx, "data").await.unwrap();
    assert!(!bench.is_running(&web).await);
    // As after a kill: somebody else finds what was left.
    drop(reader);
    let source = source(&bench, While::Stopped);
    source.settle(&bench.cx).await.unwrap();
    assert!(bench.is_running(&web).await);
    assert_eq!(bench.containers().await, 1);
    source.settle(&bench.cx).await.unwrap();

    // The next attempt puts it right, too.
    drop(source.read(&bench.cx, "data").await.unwrap());
    let content = bench.keep(&source, "data").await.unwrap();
    assert!(content.len() > 3_000_000 && bench.is_running(&web).await);
    assert_eq!(bench.containers().await, 1);
    bench.clean().await;
}

#[tokio::test]
async fn half_a_volume_serves_nobody_until_it_is_whole() {
    let bench = Bench::new().await;
    bench.volume("data").await;
    let web = bench.idle("web", &[], &["data:/data"]).await;
    bench.sh(&web, FILL).await.unwrap();
    let before = bench.sh(&web, DESCRIBE).await.unwrap();
    let source = source(&bench, While::Running);
    let content = bench.keep(&source, "data").await.unwrap();

    let cut = &content[..content.len() / 2];
    let error = bench.put_back(&source, "data", cut).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.advice().unwrap().contains("stays stopped"), "{:?}", error.advice());
    assert!(!bench.is_running(&web).await);
    // A failed backup does not start it either.
    source.settle(&bench.cx).await.unwrap();
    assert!(!bench.is_running(&web).await);

    bench.put_back(&source, "data", &content).await.unwrap();
    assert!(bench.is_running(&web).await);
    assert_eq!(bench.sh(&web, DESCRIBE).await.unwrap(), before);
    assert_eq!(bench.containers().await, 1);
    bench.clean().await;
}

#[tokio::test]
async fn what_could_not_come_back_is_told_before_anything_is_lost() {
    let bench = Bench::new().await;
    bench.volume("data").await;
    let web = bench.idle("web", &[], &["data:/data"]).await;
    let source = source(&bench, While::Stopped);
    for (make, why) in [
        ("mkfifo /data/queue", "`queue`: it is a pipe"),
        ("ln -s /etc/passwd /data/out", "`out`: it links to the absolute `/etc/passwd`"),
    ] {
        bench.sh(&web, make).await.unwrap();
        let error = bench.keep(&source, "data").await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(bench.is_running(&web).await);
        assert_eq!(bench.containers().await, 1);
        bench.sh(&web, "rm /data/*").await.unwrap();
    }
    let error = source.read(&bench.cx, "other").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    bench.clean().await;
}
