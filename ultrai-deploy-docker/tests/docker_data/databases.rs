//! Real databases: their data are kept, destroyed, and put back.

use ultrai_deploy_core::name::ServiceName;
use ultrai_deploy_docker::data::{Command, Dump, Variable};

use crate::{bench::Bench, support::until};

fn source(bench: &Bench, dump: Dump) -> Command {
    Command::new(bench.engine.clone(), bench.releases(), dump)
}

async fn sql(bench: &Bench, id: &str, statements: &str) -> Result<String, String> {
    let script =
        format!("psql -X -q -A -t -v ON_ERROR_STOP=1 -U shop -d orders <<'SQL'\n{statements}\nSQL");
    bench.sh_with(id, &script, &["PGPASSWORD=correct horse"]).await
}

const ROWS: &str = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM orders t; \
    SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM customers t; \
    SELECT * FROM totals; SELECT nextval('numbers'); SELECT setval('numbers', 7);";

#[tokio::test]
async fn every_row_of_postgres_comes_back() {
    let bench = Bench::new().await;
    bench.volume("pg").await;
    let env = ["POSTGRES_PASSWORD=correct horse", "POSTGRES_USER=shop", "POSTGRES_DB=orders"];
    let mount = ["pg:/var/lib/postgresql/data"];
    let db = bench.service("db", "postgres:15", &["postgres"], &env, &mount).await;
    let ready = || async { sql(&bench, &db, "SELECT 1").await.ok() };
    until("PostgreSQL answers", ready).await;
    sql(
        &bench,
        &db,
        "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, more jsonb);
         CREATE TABLE orders (id bigserial PRIMARY KEY, of int REFERENCES customers, note text,
           content bytea, at timestamptz DEFAULT '2026-01-02 03:04:05+00');
         CREATE SCHEMA other; CREATE VIEW totals AS SELECT count(*) AS all, sum(of) FROM orders;
         CREATE SEQUENCE numbers; SELECT setval('numbers', 7);
         INSERT INTO customers SELECT n, 'name ''' || n || E'\\t\\\\.\\n', '{\"a\": [1, null]}'
           FROM generate_series(1, 200) n;
         INSERT INTO orders (of, note, content)
           SELECT 1 + n % 200, repeat(md5(n::text), 10), decode(md5(n::text), 'hex')
           FROM generate_series(1, 20000) n;",
    )
    .await
    .unwrap();
    let before = sql(&bench, &db, ROWS).await.unwrap();
    assert!(before.starts_with("20000|"), "{before}");

    let source = source(&bench, Dump::postgres("db", ServiceName::new("db").unwrap()));
    let content = bench.keep(&source, "dump").await.unwrap();
    assert!(content.starts_with(b"PGDMP"));

    // A release that destroys, and whose new tables hold on to the old ones.
    let destroy = "DELETE FROM orders WHERE id % 3 = 0; UPDATE customers SET name = 'gone';
        ALTER TABLE customers ADD COLUMN extra int;
        CREATE TABLE newer (id int PRIMARY KEY, customer int REFERENCES customers);
        CREATE VIEW newest AS SELECT * FROM orders; INSERT INTO newer VALUES (1, 1);";
    sql(&bench, &db, destroy).await.unwrap();
    let destroyed = sql(&bench, &db, ROWS).await.unwrap();
    assert_ne!(destroyed, before);

    // Half of a dump changes nothing: it is one transaction.
    let error = bench.put_back(&source, "dump", &content[..content.len() * 3 / 4]).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("ended with 3"), "{error}");
    assert_eq!(sql(&bench, &db, ROWS).await.unwrap(), destroyed);
    let error = bench.put_back(&source, "dump", b"").await.unwrap_err();
    assert!(!error.to_string().contains("correct horse"), "{error}");
    assert_eq!(sql(&bench, &db, ROWS).await.unwrap(), destroyed);

    bench.put_back(&source, "dump", &content).await.unwrap();
    assert_eq!(sql(&bench, &db, ROWS).await.unwrap(), before);
    let error = sql(&bench, &db, "SELECT * FROM newer").await.unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
    // Once more: it is idempotent.
    bench.put_back(&source, "dump", &content).await.unwrap();
    assert_eq!(sql(&bench, &db, ROWS).await.unwrap(), before);

    let wrong = Dump::postgres("db", ServiceName::new("db").unwrap())
        .with_variable("PGPASSWORD", Variable::Text("wrong".into()));
    let wrong = Command::new(bench.engine.clone(), bench.releases(), wrong);
    let error = bench.keep(&wrong, "dump").await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    bench.clean().await;
}

async fn redis(bench: &Bench, id: &str, script: &str) -> Result<String, String> {
    let script = format!("r() {{ redis-cli -e \"$@\"; }}; {script}");
    bench.sh_with(id, &script, &["REDISCLI_AUTH=correct horse"]).await
}

/// Everything in it: the digest that Redis itself makes of its data.
const ALL: &str = "r DBSIZE && r -n 3 DBSIZE && r DEBUG DIGEST && r -n 3 GET other";

async fn redis_comes_back(options: &[&str]) {
    let bench = Bench::new().await;
    bench.volume("redis").await;
    let command: Vec<_> =
        ["redis-server", "--requirepass", "correct horse", "--enable-debug-command", "yes"]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
    let env = ["REDIS_PASSWORD=correct horse"];
    let db = bench.service("db", "redis:6.2-alpine", &command, &env, &["redis:/data"]).await;
    until("Redis answers", || async { redis(&bench, &db, "r PING").await.ok() }).await;
    let fill = "i=0; while [ $i -lt 3000 ]; do echo \"SET key:$i value-$i\"; echo \"RPUSH list:$((i % 7)) $i\"; \
        i=$((i + 1)); done | redis-cli >/dev/null; r -n 3 SET other 'another database'; \
        r HSET hash a 1 b 2; r SET brief x EX 100000; head -c 500000 /dev/urandom | r -x SET large";
    redis(&bench, &db, fill).await.unwrap();
    let before = redis(&bench, &db, ALL).await.unwrap();
    assert!(before.starts_with("3010"), "{before}");

    let source = source(&bench, Dump::redis("db", ServiceName::new("db").unwrap()));
    let content = bench.keep(&source, "dump").await.unwrap();
    assert!(content.starts_with(b"REDIS"));

    let destroy = "r DEL large hash key:1; r SET key:2 changed; r -n 3 FLUSHDB; r SET newer 1";
    redis(&bench, &db, destroy).await.unwrap();
    let destroyed = redis(&bench, &db, ALL).await.unwrap();

    // What cannot be loaded changes nothing.
    for broken in [&content[..content.len() / 2], b"", b"garbage"] {
        let error = bench.put_back(&source, "dump", broken).await.unwrap_err();
        assert!(error.to_string().contains("redis: the dump"), "{error}");
        assert!(!error.to_string().contains("correct horse"), "{error}");
        assert_eq!(redis(&bench, &db, ALL).await.unwrap(), destroyed);
    }

    bench.put_back(&source, "dump", &content).await.unwrap();
    assert_eq!(redis(&bench, &db, ALL).await.unwrap(), before);
    let settings = "r CONFIG GET masterauth; r INFO replication | grep -c role:master; \
        ls /tmp; ps | grep -c '[r]edis-server'";
    let left = redis(&bench, &db, settings).await.unwrap();
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["masterauth", "1", "1"], "{left}");
    // It is on the disk: a restart brings the same.
    bench.docker.restart_container(&db, None).await.unwrap();
    until("Redis answers", || async { redis(&bench, &db, "r PING").await.ok() }).await;
    assert_eq!(redis(&bench, &db, ALL).await.unwrap(), before);
    bench.clean().await;
}

#[tokio::test]
async fn all_of_redis_comes_back_with_an_append_only_file() {
    redis_comes_back(&["--appendonly", "yes"]).await;
}

#[tokio::test]
async fn all_of_redis_comes_back_with_dumps() {
    redis_comes_back(&["--save", "3600 1"]).await;
}
