//! The stored form, and what is refused before any look.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Effect, ErrorKind,
    name::ServiceName,
    verification::{CheckSpec, NoProbes, ProbeSource},
};
use ultrai_deploy_http::{Client, Config};

use super::*;
use crate::Probes;

fn probes() -> Probes {
    Probes::new(Client::new(Config::default()).unwrap(), Arc::new(NoProbes))
}

#[expect(clippy::needless_pass_by_value, reason = "it is called with literals")]
fn kept<S: Serialize + DeserializeOwned>(stored: Value) {
    let spec: S = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(spec).unwrap(), stored);
}

/// Stored releases hold these forms: changing one makes them unreadable.
#[test]
fn the_stored_form() {
    kept::<RedisSpec>(json!({}));
    kept::<RedisSpec>(json!({
        "address": "redis:6379", "username": "probe", "password": "REDIS_PASSWORD",
        "tls": true, "tls_name": "redis.internal",
    }));
    kept::<RedisSpec>(json!({"port": 6379}));
    #[cfg(feature = "postgres")]
    {
        kept::<PostgresSpec>(json!({"user": "app", "database": "shop"}));
        kept::<PostgresSpec>(json!({
            "address": "db:5432", "user": "app", "database": "shop", "password": "DB_PASSWORD",
            "query": "SELECT count(*) FROM users", "expect": "3", "max_connections_used": 0.9,
            "max_replica_lag": "30s", "tls": true, "tls_name": "db.internal",
        }));
    }
    kept::<MongodbSpec>(json!({"port": 27017, "writable_primary": true}));
    kept::<MongodbSpec>(json!({"address": "[::1]:27017"}));
    kept::<DnsSpec>(json!({"name": "api.example.com", "expect": ["10.0.0.1", "::1"]}));
    kept::<DnsSpec>(json!({"name": "api.example.com", "at_least": 2}));
    kept::<TlsSpec>(json!({"address": "x:443", "name": "api.example.com", "min_days": 14}));
    kept::<LlmSpec>(json!({
        "any": [
            {"provider": "openai", "key": "OPENAI_API_KEY", "model": "gpt-4o"},
            {"provider": "anthropic", "key": "A", "base_url": "http://127.0.0.1:1/v1"},
            {"provider": "cohere", "key": "C", "base_url": "http://gateway:1/", "clear_text": true},
        ],
        "at_least": 2,
        "max_latency": "3s",
    }));
    kept::<PineconeSpec>(json!({"key": "PINECONE_API_KEY", "index": "docs"}));
    kept::<CombinedSpec>(json!({
        "of": [
            {"name": "a", "weight": 2, "timeout": "1s 500ms", "probe": {"redis": {}}},
            {"name": "b", "probe": {"dns": {"name": "localhost"}}},
        ],
        "need": {"at_least": 2},
        "at_once": 4,
    }));
    kept::<CombinedSpec>(json!({"of": [], "need": "any"}));
}

#[test]
fn what_is_wrong_is_told_before_any_look() {
    let part = |name: &str, probe: Value| json!({"name": name, "probe": probe});
    let name = |of: &str| json!({"dns": {"name": of}});
    let deep = (0..5).fold(name("x"), |inner, _| json!({"combined": {"of": [part("a", inner)]}}));
    let many: Vec<_> = (0..257).map(|n| part(&n.to_string(), name("x"))).collect();
    let openai = |more: Value| {
        let mut provider = json!({"provider": "openai", "key": "K"});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"llm": {"any": [provider]}})
    };
    for (probe, told) in [
        (json!({"redis": {"address": "x:1", "port": 2}}), "has an address and a port"),
        (json!({"redis": {"username": "u", "address": "x:1"}}), "a username and no password"),
        (json!({"redis": {"tls_name": "n", "address": "x:1"}}), "a tls_name and no tls"),
        (json!({"redis": {"address": "x:1"}, "tls": {"address": "x:1"}}), "of two kinds at once"),
        (json!({"redis": {"address": "redis"}}), "is no redis probe"),
        (json!({"redis": {"adress": "redis:1"}}), "is no redis probe"),
        (json!({"mongodb": {}}), "says not where to look"),
        (json!({"tls": {"address": "x:1", "name": "a b"}}), "a name that no certificate"),
        (json!({"dns": {"name": "http://x"}}), "names no host"),
        (json!({"dns": {"name": "x", "at_least": 0}}), "at least no address"),
        (json!({"dns": {"name": "x", "at_least": 1, "expect": ["::1"]}}), "expect and at_least"),
        (json!({"llm": {"any": []}}), "names no provider"),
        (openai(json!({"base_url": "http://gateway:4000"})), "would send a key"),
        (json!({"llm": {"any": [{"provider": "x", "key": "K"}]}}), "is no llm probe"),
        (json!({"pinecone": {"key": "K", "base_url": "http://x/"}}), "would send a key"),
        (json!({"combined": {"of": []}}), "combines nothing"),
        (json!({"combined": {"of": [part("a", name("x")), part("a", name("x"))]}}), "two parts"),
        (json!({"combined": {"of": [part("a", name(""))]}}), "`c / a` names no host"),
        (
            json!({"combined": {"of": [part("a", name("x"))], "need": {"at_least": 2}}}),
            "more than all",
        ),
        (json!({"combined": {"of": many}}), "more than 256 parts"),
        (deep, "more than 4 deep"),
    ] {
        let check = CheckSpec::new("c", probe.clone());
        for error in [
            probes().probe(&check).unwrap_err(),
            probes().secrets(&check).err().unwrap_or_else(|| probes().probe(&check).unwrap_err()),
        ] {
            assert_eq!(
                (error.kind(), error.effect()),
                (ErrorKind::Invalid, Effect::None),
                "{probe}"
            );
            assert!(error.message().contains(told), "{probe}: {error}");
        }
    }
}

#[cfg(feature = "postgres")]
#[test]
fn what_is_wrong_with_a_database_is_told_before_any_look() {
    for (more, told) in [
        (json!({"max_connections_used": 1.5}), "no share"),
        (json!({"expect": "1"}), "of no query"),
        (json!({"query": " "}), "empty user, database or query"),
        (json!({"user": "a\u{0}b"}), "a zero"),
        (json!({"max_replica_lag": "soon"}), "is no postgres probe"),
    ] {
        let mut spec = json!({"address": "x:1", "user": "u", "database": "d"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = probes().probe(&CheckSpec::new("c", json!({"postgres": spec}))).unwrap_err();
        assert!(error.message().contains(told), "{error}");
    }
}

#[test]
fn secrets_are_named_once_and_others_are_asked_of_the_other_source() {
    let redis = json!({"redis": {"password": "P"}});
    let llm = json!({"llm": {"any": [
        {"provider": "openai", "key": "O"}, {"provider": "cohere", "key": "P"},
    ]}});
    let inner = json!({"combined": {"of": [{"name": "a", "probe": redis}]}});
    let of = json!([{"name": "a", "probe": inner}, {"name": "b", "probe": llm}]);
    let check =
        CheckSpec::new("c", json!({"combined": {"of": of}})).of(ServiceName::new("redis").unwrap());
    let names: Vec<_> = probes().secrets(&check).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["O", "P"]);

    let other = json!({"combined": {"of": [{"name": "a", "probe": {"http": {}}}]}});
    let error = probes().probe(&CheckSpec::new("c", other)).unwrap_err();
    assert!(error.message().contains("`c / a` needs a probe, and there are none"), "{error}");
}
