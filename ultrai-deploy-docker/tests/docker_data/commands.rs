//! Commands in services: how they end, and how they do not.

use std::collections::BTreeMap;

use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{
    ErrorKind,
    backup::BackupSource,
    name::{SecretName, ServiceName},
};
use ultrai_deploy_docker::{
    bollard::query_parameters::KillContainerOptionsBuilder,
    data::{Command, Dump, Variable},
};

use crate::{bench::Bench, support::until};

fn service() -> ServiceName {
    ServiceName::new("db").unwrap()
}

fn command(bench: &Bench, dump: Dump) -> Command {
    Command::new(bench.engine.clone(), bench.releases(), dump)
}

fn shell(dump: &str, restore: &str) -> Dump {
    Dump::new("db", service(), ["sh", "-c", dump], ["sh", "-c", restore])
}

#[tokio::test]
async fn what_one_writes_the_other_reads() {
    let bench = Bench::new().await;
    let db = bench.idle("db", &["OWN=from the container"], &[]).await;
    let dump = shell(
        "cat /file; printf %s \"$GIVEN-$TAKEN-$NONE\"",
        "cat >/restored; echo \"$GIVEN\" >&2",
    )
    .with_variable("GIVEN", Variable::Text("text".into()))
    .with_variable("TAKEN", Variable::Container(vec!["ABSENT".into(), "OWN".into()]))
    .with_variable("NONE", Variable::Container(vec!["ABSENT".into()]));
    let source = command(&bench, dump);
    // Larger than all that is in memory on the way, and every byte there is.
    let make = "for i in 0 1 2 3; do cat /bin/busybox; done >/file; head -c 3 /dev/zero >>/file";
    bench.sh(&db, make).await.unwrap();
    assert_eq!(source.parts(&bench.cx).await.unwrap(), ["dump"]);
    let content = bench.keep(&source, "dump").await.unwrap();
    assert!(content.len() > 4_000_000);
    assert!(content.ends_with(b"\0\0\0text-from the container-"));
    bench.put_back(&source, "dump", &content).await.unwrap();
    bench
        .sh(&db, "cat /file >/all; printf %s 'text-from the container-' >>/all; cmp /all /restored")
        .await
        .unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_command_that_fails_makes_no_part() {
    let bench = Bench::new().await;
    bench.idle("db", &["DB_PASSWORD=correct-horse"], &[]).await;
    let dump = shell(
        "head -c 200000 /dev/zero; echo \"lost $PASSWORD\" >&2; exit 1",
        "head -c 10 >/dev/null; echo broken >&2; exit 3",
    )
    .with_variable("PASSWORD", Variable::Container(vec!["DB_PASSWORD".into()]));
    let source = command(&bench, dump.clone());
    let mut seen = Vec::new();
    let mut reader = source.read(&bench.cx, "dump").await.unwrap();
    let error = reader.read_to_end(&mut seen).await.unwrap_err().to_string();
    assert_eq!(seen.len(), 200_000, "it had written so much");
    assert!(error.contains("`db` in db ended with 1: lost "), "{error}");
    assert!(!error.contains("correct-horse"), "{error}");

    let error = bench.put_back(&source, "dump", &vec![7; 5_000_000]).await.unwrap_err();
    assert!(error.to_string().contains("ended with 3: broken"), "{error}");

    let secret = Variable::Secret(SecretName::new("ABSENT").unwrap());
    let error = bench.keep(&command(&bench, dump.with_variable("A", secret)), "dump").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    bench.clean().await;
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let bench = Bench::new().await;
    // No service: nothing to keep.
    let source = command(&bench, Dump::postgres("db", service()));
    assert_eq!(source.parts(&bench.cx).await.unwrap(), [""; 0]);

    let db = bench.idle("db", &[], &[]).await;
    let error = bench.keep(&source, "dump").await.unwrap_err();
    assert!(error.to_string().contains("pg_dump: not found"), "{error}");
    assert!(error.advice().unwrap().contains("has the program"), "{:?}", error.advice());
    let error = bench.put_back(&source, "dump", b"PGDMP").await.unwrap_err();
    assert!(error.to_string().contains("pg_restore: not found"), "{error}");
    let absent = Dump::new("db", service(), ["/no/such/program"], ["/no/such/program"]);
    let error = bench.keep(&command(&bench, absent), "dump").await.unwrap_err();
    assert!(error.advice().is_some(), "{error}");

    bench.docker.stop_container(&db, None).await.unwrap();
    for error in [
        bench.keep(&source, "dump").await.unwrap_err(),
        bench.put_back(&source, "dump", b"PGDMP").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("db does not run"), "{error}");
        assert!(error.advice().unwrap().contains("start db"), "{:?}", error.advice());
    }
    bench.clean().await;
}

#[tokio::test]
async fn a_container_that_is_killed_makes_no_part() {
    let bench = Bench::new().await;
    let db = bench.idle("db", &[], &[]).await;
    let dump =
        shell("head -c 100000 /dev/zero; sleep 600", "cat >/dev/null; touch /reads; sleep 600");
    let source = command(&bench, dump);
    let kill = || async {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        bench.docker.kill_container(&db, Some(options)).await.unwrap();
    };
    let mut reader = source.read(&bench.cx, "dump").await.unwrap();
    let mut half = vec![0; 100_000];
    reader.read_exact(&mut half).await.unwrap();
    kill().await;
    let error = reader.read_to_end(&mut half).await.unwrap_err();
    assert!(error.to_string().contains("`db` in db"), "{error}");

    bench.docker.start_container(&db, None).await.unwrap();
    let restoring = bench.put_back(&source, "dump", b"content");
    let killing = async {
        let reads = || async { bench.sh(&db, "[ -e /reads ]").await.ok() };
        until("it reads", reads).await;
        kill().await;
    };
    let (restored, ()) = tokio::join!(restoring, killing);
    let error = restored.unwrap_err();
    assert!(error.to_string().contains("`db` in db"), "{error}");
    bench.clean().await;
}

#[tokio::test]
async fn a_deadline_ends_it() {
    let bench = Bench::new().await;
    bench.idle("db", &[], &[]).await;
    let source = command(&bench, shell("echo begun; sleep 600", "sleep 600"));
    let cx = bench.cx.clone().with_timeout(std::time::Duration::from_millis(700));
    let mut seen = String::new();
    let mut reader = source.read(&cx, "dump").await.unwrap();
    let error = reader.read_to_string(&mut seen).await.unwrap_err();
    assert!(error.to_string().contains("deadline"), "{error}");
    let content = Box::pin(std::io::Cursor::new(b"x".to_vec()));
    let cx = bench.cx.clone().with_timeout(std::time::Duration::from_millis(700));
    let error = source.restore(&cx, "dump", content).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    bench.clean().await;
}

/// No MongoDB can be had from Debian: this stand-in takes the arguments that its tools take, and says
/// what it was told.
#[tokio::test]
async fn the_tools_of_mongodb_get_what_they_take() {
    const DUMP: &str = r#"#!/bin/sh
auth=; for one in "$@"; do case $one in
  --quiet|--archive) ;; --username=root|--authenticationDatabase=admin) auth=$auth+ ;;
  --config=*) config=${one#--config=} ;; *) echo "unknown option $one" >&2; exit 1 ;;
esac; done
[ "$auth" = ++ ] && [ "$(stat -c %a "$config")" = 600 ] || { echo "no credentials" >&2; exit 1; }
[ "$(cat "$config")" = 'password: "s\"e\\cret"' ] || { echo "wrong password" >&2; exit 1; }
echo "$config" >/config-path
cat /database
"#;
    let restore = DUMP
        .replace("--quiet|--archive)", "--quiet|--archive|--drop|--stopOnError)")
        .replace("cat /database", "cat >/database");
    let bench = Bench::new().await;
    let env = ["MONGO_INITDB_ROOT_USERNAME=root", "MONGO_INITDB_ROOT_PASSWORD=s\"e\\cret"];
    let db = bench.idle("db", &env, &[]).await;
    let scripts = BTreeMap::from([("mongodump", DUMP), ("mongorestore", restore.as_str())]);
    for (name, script) in scripts {
        let write = format!("cat >/bin/{name} <<'END'\n{script}END\nchmod +x /bin/{name}");
        bench.sh(&db, &write).await.unwrap();
    }
    bench.sh(&db, "echo documents >/database").await.unwrap();
    let source = command(&bench, Dump::mongodb("db", service()));
    let content = bench.keep(&source, "dump").await.unwrap();
    assert_eq!(content, b"documents\n");
    bench.sh(&db, "echo destroyed >/database").await.unwrap();
    bench.put_back(&source, "dump", &content).await.unwrap();
    assert_eq!(bench.sh(&db, "cat /database").await.unwrap(), "documents");
    // The file with the password is gone.
    bench.sh(&db, "[ ! -e \"$(cat /config-path)\" ]").await.unwrap();
    bench.clean().await;
}
