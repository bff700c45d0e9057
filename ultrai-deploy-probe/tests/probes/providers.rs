//! Providers of language models and Pinecone, by fakes that keep to their APIs: they want their own
//! headers, and list page by page.

use serde_json::{Value, json};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

use crate::lab::{CANARY, healthy, look, pending, probes, unhealthy};

/// Answers as the three providers and Pinecone do, each below a path of its own. `slow/` and so on
/// before that lets it fail.
fn answer(request: &Request) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let (path, failure) = match path.split('/').nth(1) {
        Some("down") => (path.trim_start_matches("/down"), Some(Answer::text(503, "overloaded"))),
        Some("limited") => {
            (path.trim_start_matches("/limited"), Some(Answer::text(429, "slow down")))
        }
        Some("odd") => (path.trim_start_matches("/odd"), Some(Answer::text(200, "<html>"))),
        Some("other") => (path.trim_start_matches("/other"), Some(Answer::json(200, "[1]"))),
        Some("hangs") => (path.trim_start_matches("/hangs"), Some(Answer::hang())),
        _ => (path, None),
    };
    let key = match path.split('/').nth(1) {
        Some("anthropic") if request.header("anthropic-version") == Some("2023-06-01") => {
            request.header("x-api-key")
        }
        Some("pinecone") if request.header("x-pinecone-api-version").is_some() => {
            request.header("api-key")
        }
        Some("openai" | "cohere") => {
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
        }
        _ => return Answer::text(400, "headers are missing"),
    };
    if key != Some(CANARY) {
        let said =
            format!("{}Incorrect API key provided: {}", " ".repeat(90), key.unwrap_or_default());
        return Answer::json(401, json!({"error": {"message": said}}).to_string());
    }
    if let Some(failure) = failure {
        return failure;
    }
    let body = match (path, query) {
        ("/openai/v1/models", "") => json!({"object": "list", "data": [{"id": "gpt-4o"}]}),
        ("/anthropic/v1/models", "limit=1000") => {
            json!({"data": [{"id": "claude-a"}], "has_more": true, "last_id": "claude a&b"})
        }
        ("/anthropic/v1/models", "limit=1000&after_id=claude%20a%26b") => {
            json!({"data": [{"id": "claude-c"}], "has_more": false, "last_id": "claude-c"})
        }
        ("/cohere/v1/models", "page_size=1000") => {
            json!({"models": [{"name": "command-a"}], "next_page_token": "t"})
        }
        ("/cohere/v1/models", "page_size=1000&page_token=t") => {
            // a list that never ends
            json!({"models": [{"name": "command-r"}], "next_page_token": "t"})
        }
        ("/pinecone/indexes", "") => json!({"indexes": [
            {"name": "docs", "status": {"ready": true, "state": "Ready"}},
            {"name": "new", "status": {"ready": false, "state": "Initializing"}},
            {"name": "old", "status": {"ready": false, "state": "Terminating"}},
        ]}),
        _ => return Answer::text(404, "no such page"),
    };
    Answer::json(200, body.to_string())
}

async fn server() -> Server {
    Server::start(answer).await.unwrap()
}

fn one(server: &Server, provider: &str, model: &str, below: &str, key: &str) -> Value {
    let base = server.url(&format!("{below}/{provider}"));
    json!({"provider": provider, "key": key, "model": model, "base_url": base})
}

#[tokio::test]
async fn each_provider_lists_its_models() {
    let server = server().await;
    for (provider, model) in [
        ("openai", "gpt-4o"),
        ("anthropic", "claude-a"),
        ("anthropic", "claude-c"),
        ("cohere", "command-a"),
        ("cohere", "command-r"),
    ] {
        let probe = json!({"llm": {"any": [one(&server, provider, model, "", "SECRET")]}});
        let seen = healthy(&probes(), probe).await;
        assert!(seen.contains(&format!("model `{model}` listed")), "{seen}");
    }
    // with the /v1 that other clients want, and of any model
    let base = server.url("/openai/v1/");
    let any = json!({"provider": "openai", "key": "SECRET", "base_url": base});
    let seen = healthy(&probes(), json!({"llm": {"any": [any]}})).await;
    assert!(seen.contains("OpenAI: available, key accepted"), "{seen}");
}

#[tokio::test]
async fn why_a_provider_is_not_available() {
    let server = server().await;
    for (provider, model, below, key, told) in [
        ("openai", "gpt-4o", "", "WRONG", "OpenAI: the key is refused (status 401)"),
        ("anthropic", "claude-a", "", "WRONG", "Anthropic: the key is refused"),
        ("cohere", "command-a", "", "WRONG", "Cohere: the key is refused"),
        ("openai", "gpt-5", "", "SECRET", "model `gpt-5` is not among the 1 models"),
        ("anthropic", "claude-d", "", "SECRET", "`claude-d` is not among the 2 models"),
        (
            "cohere",
            "command-x",
            "",
            "SECRET",
            "is not among the 20 models that the key gives access to read so far",
        ),
        ("openai", "gpt-4o", "/limited", "SECRET", "rate limit or the quota of the key is used up"),
        ("openai", "gpt-4o", "/down", "SECRET", "the provider fails (status 503): `overloaded`"),
        ("openai", "gpt-4o", "/odd", "SECRET", "its answer is not JSON: `<html>`"),
        ("openai", "gpt-4o", "/other", "SECRET", "its answer is no list of models"),
    ] {
        let probe = json!({"llm": {"any": [one(&server, provider, model, below, key)]}});
        let why = unhealthy(&probes(), probe).await;
        assert!(why.contains(told), "{told}: {why}");
    }
}

#[tokio::test]
async fn one_of_several_is_enough_and_a_hanging_one_hides_no_other() {
    let server = server().await;
    let hangs = one(&server, "openai", "gpt-4o", "/hangs", "SECRET");
    let works = one(&server, "anthropic", "claude-a", "", "SECRET");
    let refused = one(&server, "cohere", "command-a", "", "WRONG");
    let timeout = std::time::Duration::from_secs(2);
    let all = [hangs, works, refused];
    let found = look(&probes(), json!({"llm": {"any": all}}), timeout).await.unwrap();
    let ultrai_deploy_core::health::Health::Healthy(evidence) = found else { panic!("{found:?}") };
    let lines: Vec<&str> = evidence[0].text.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("OpenAI: GET") || lines[0].contains("within"), "{lines:?}");
    assert!(lines[1].starts_with("Anthropic: available"), "{lines:?}");

    let two = json!({"llm": {"any": all, "at_least": 2}});
    let found = look(&probes(), two, timeout).await.unwrap();
    let ultrai_deploy_core::health::Health::Unhealthy { why, .. } = found else {
        panic!("{found:?}")
    };
    assert!(why.starts_with("1 of 3 providers available, 2 wanted: OpenAI: "), "{why}");
    assert!(why.contains("Cohere: the key is refused") && !why.contains("Anthropic"), "{why}");
}

#[tokio::test]
async fn a_slow_provider_is_not_available() {
    let delay = std::time::Duration::from_millis(30);
    let server = Server::start(move |request| answer(request).after(delay)).await.unwrap();
    let any = [one(&server, "openai", "gpt-4o", "", "SECRET")];
    let why = unhealthy(&probes(), json!({"llm": {"any": any, "max_latency": "1ms"}})).await;
    assert!(why.contains("longer than 1ms"), "{why}");
}

#[tokio::test]
async fn pinecone_has_the_index() {
    let server = server().await;
    let probe = |index: Value, below: &str, key: &str| {
        let base = server.url(&format!("{below}/pinecone"));
        json!({"pinecone": {"key": key, "index": index, "base_url": base}})
    };
    let seen = healthy(&probes(), probe(json!("docs"), "", "SECRET")).await;
    assert!(seen.contains("`docs` is ready (`Ready`)"), "{seen}");
    healthy(&probes(), probe(Value::Null, "", "SECRET")).await;
    let why = pending(&probes(), probe(json!("new"), "", "SECRET")).await;
    assert!(why.contains("`Initializing`"), "{why}");
    for (index, below, key, told) in [
        ("old", "", "SECRET", "is not ready: `Terminating`"),
        ("none", "", "SECRET", "`none` is not among the 3"),
        ("docs", "", "WRONG", "the key is refused"),
        ("docs", "/other", "SECRET", "no list of indexes"),
    ] {
        let why = unhealthy(&probes(), probe(json!(index), below, key)).await;
        assert!(why.contains(told), "{why}");
    }
}
