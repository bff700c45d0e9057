//! A project with data of each kind in named volumes.

use serde_json::Value;

use crate::shop::{Answer, Shop};

const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/backend:${VERSION}
    ports: ["${PORT_A}:8085"]
    environment: {REDIS_URI: "redis://:correct-horse@redis:6379/0"}
    volumes: ["files:/files"]
    depends_on: {db: {condition: service_healthy}, redis: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 1s, timeout: 5s, retries: 10}
  db:
    image: postgres:15
    environment: {POSTGRES_USER: shop, POSTGRES_DB: orders, POSTGRES_PASSWORD: correct-horse, PGPASSWORD: correct-horse}
    volumes: ["pg:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "psql", "-h", "127.0.0.1", "-U", "shop", "-d", "orders", "-c", "SELECT 1"], interval: 2s, timeout: 5s, retries: 60}
  redis:
    image: redis:6.2-alpine
    command: ["redis-server", "--requirepass", "correct-horse", "--appendonly", "yes", "--enable-debug-command", "yes"]
    environment: {REDIS_PASSWORD: correct-horse, REDISCLI_AUTH: correct-horse}
    volumes: ["redis:/data"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 2s, timeout: 5s, retries: 60}
volumes: {pg: {}, redis: {}, files: {}}
"#;

const DATA: &str = r#"
[[data]]
name = "orders"
kind = "postgres"
service = "db"
[[data]]
name = "cache"
kind = "redis"
service = "redis"
[[data]]
name = "files"
kind = "volume"
volume = "files"
while = "stopped"
[[check]]
name = "models"
service = "web"
path = "/api/models"
deadline = "1s"
"#;

/// Every service's data, by programs of its own image.
const DESTROY: &str = r#"
[[migration]]
name = "orders"
service = "db"
reversible = false
command = ["psql", "-h", "db", "-U", "shop", "-d", "orders", "-v", "ON_ERROR_STOP=1", "-c", "DELETE FROM lines WHERE id % 3 = 0; DROP TABLE customers; CREATE TABLE newer (id int)"]
[[migration]]
name = "cache"
service = "redis"
reversible = false
command = ["redis-cli", "-e", "-h", "redis", "FLUSHALL"]
[[migration]]
name = "files"
service = "web"
reversible = false
command = ["busybox", "sh", "-c", "busybox rm -rf /files/a && echo spoilt >/files/one"]
"#;

const FILL_SQL: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text); \
    CREATE TABLE lines (id bigserial PRIMARY KEY, note text, content bytea); \
    INSERT INTO customers SELECT n, 'name ' || n FROM generate_series(1, 200) n; \
    INSERT INTO lines (note, content) SELECT repeat(md5(n::text), 10), decode(md5(n::text), 'hex') \
    FROM generate_series(1, 20000) n;";
const FILL_REDIS: &str = "i=0; while [ $i -lt 2000 ]; do echo \"SET key:$i value-$i\"; \
    echo \"RPUSH list:$((i % 7)) $i\"; i=$((i + 1)); done | redis-cli >/dev/null; \
    redis-cli -n 3 SET other another";
const FILL_FILES: &str = "mkdir -p /files/a/b && head -c 3000000 /dev/urandom >/files/a/b/large && \
    echo one >/files/one && chmod 640 /files/one && ln -s a/b/large /files/link";

const ROWS: &str = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM lines t; \
    SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM customers t; \
    SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
const KEYS: &str = "redis-cli DBSIZE; redis-cli DEBUG DIGEST; redis-cli -n 3 GET other";
const FILES: &str = "cd /files && find . | sort | xargs stat -c '%n %f %u %g' && \
    find . -type f | sort | xargs sha256sum && readlink link || echo spoilt";

/// The project, and what a test asks of it.
pub struct Ledger {
    pub shop: Shop,
}

impl Ledger {
    /// Serves v1.0.0, with data of each kind.
    pub fn filled() -> Self {
        let ledger = Self { shop: Shop::new(COMPOSE) };
        ledger.configure("", "");
        ledger.shop.deploy("v1.0.0", 0);
        ledger.sql(FILL_SQL);
        ledger.sh("redis", FILL_REDIS);
        ledger.sh("web", FILL_FILES);
        ledger
    }

    /// `policy` are lines of that table.
    fn configure(&self, policy: &str, more: &str) {
        let policy = format!("[policy]\nattempts = 2\n{policy}\n");
        self.shop.configure(&format!("{policy}{DATA}{more}"));
    }

    /// From now on a release destroys data of each kind before it is started.
    pub fn will_destroy(&self, policy: &str) {
        self.configure(policy, DESTROY);
    }

    pub fn sh(&self, service: &str, script: &str) -> String {
        let name = format!("{}-{service}-1", self.shop.project);
        self.shop.docker(&["exec", &name, "sh", "-c", script])
    }

    pub fn sql(&self, statements: &str) -> String {
        let script = format!(
            "psql -X -q -A -t -v ON_ERROR_STOP=0 -U shop -h 127.0.0.1 -d orders 2>&1 <<'SQL'\n{statements}\nSQL"
        );
        self.sh("db", &script)
    }

    /// What is there of each kind: every row, key and file.
    pub fn all(&self) -> [String; 3] {
        [self.sql(ROWS), self.sh("redis", KEYS), self.sh("web", FILES)]
    }

    pub fn ultrai(&self, words: &[&str]) -> Answer {
        self.shop.ultrai(&[words, &["-e", "production"]].concat())
    }

    pub fn json(&self, code: i32, words: &[&str]) -> Value {
        self.ultrai(&[&["--format", "json"], words].concat()).expect(code).json()
    }

    /// All services run, and nothing else is there.
    #[track_caller]
    pub fn assert_tidy(&self) {
        let all: Vec<_> = self.shop.containers(true).into_keys().collect();
        assert_eq!(all, ["db-1", "redis-1", "web-1"], "helpers are left");
        assert_eq!(self.shop.containers(false).len(), 3, "all run");
    }
}
