//! Commands for the databases that most people have.
//!
//! The images of the databases' own makers have all that these need: a `sh`, and the database's own
//! tools in its own version.

use ultrai_deploy_core::name::ServiceName;

use super::{Dump, Variable};

impl Dump {
    /// One database of a PostgreSQL server, by `pg_dump` in its own compressed format.
    ///
    /// It comes back in one transaction that drops every table, view and sequence there is first, also
    /// those that were made since: a table that a newer version made could refer to one that comes back.
    /// Roles are no part of it. `PGUSER`, `PGDATABASE` and `PGPASSWORD` are those that the official
    /// image was set up with, unless they are given.
    pub fn postgres(name: impl Into<String>, service: ServiceName) -> Self {
        let dump = shell(include_str!("preset/postgres-dump.sh"));
        let restore = shell(include_str!("preset/postgres-restore.sh"));
        Self::new(name, service, dump, restore)
            .with_variable("PGUSER", container(["PGUSER", "POSTGRES_USER"]))
            .with_variable("PGDATABASE", container(["PGDATABASE", "POSTGRES_DB"]))
            .with_variable("PGPASSWORD", container(["PGPASSWORD", "POSTGRES_PASSWORD"]))
    }

    /// All databases of a MongoDB server, by `mongodump --archive`.
    ///
    /// Collections that are in it are dropped before they come back; others stay. The password is never
    /// among the arguments: the tools get it in a file that only they can read and that is removed.
    /// `MONGODB_USER` and `MONGODB_PASSWORD` are those that the official image was set up with, unless
    /// they are given; without a user, none is named. `MONGODB_AUTHENTICATION` names the database that
    /// knows the user, `admin` by default.
    pub fn mongodb(name: impl Into<String>, service: ServiceName) -> Self {
        let dump = shell(include_str!("preset/mongodb-dump.sh"));
        let restore = shell(include_str!("preset/mongodb-restore.sh"));
        Self::new(name, service, dump, restore)
            .with_variable("MONGODB_USER", container(["MONGO_INITDB_ROOT_USERNAME"]))
            .with_variable("MONGODB_PASSWORD", container(["MONGO_INITDB_ROOT_PASSWORD"]))
    }

    /// All of a Redis server, as its replicas get it (Redis 6.2 and newer).
    ///
    /// It comes back by making the server, for a moment, a replica of a second one in the same container
    /// that has loaded the dump, so no restart is needed and an append-only file is written anew; for
    /// that moment the container needs the memory twice, and clients cannot write. The server is asked at
    /// `REDIS_PORT` of the container's own loopback, 6379 by default. Its password, if it has one, is in
    /// `REDISCLI_AUTH`: that of the container, or its `REDIS_PASSWORD`, unless it is given.
    pub fn redis(name: impl Into<String>, service: ServiceName) -> Self {
        let dump = shell(include_str!("preset/redis-dump.sh"));
        let restore = shell(include_str!("preset/redis-restore.sh"));
        Self::new(name, service, dump, restore)
            .with_variable("REDISCLI_AUTH", container(["REDISCLI_AUTH", "REDIS_PASSWORD"]))
    }
}

fn shell(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

fn container<const N: usize>(names: [&str; N]) -> Variable {
    Variable::Container(names.map(ToOwned::to_owned).into())
}
