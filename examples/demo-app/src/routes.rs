//! The endpoints.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    Config, Role,
    faults::{OnRequest, inject},
    redis::{Connection, Reply, unexpected, within},
    server::log,
};

/// The version that is answered when the wrong one is asked for; no test deploys it.
const WRONG_VERSION: &str = "0.0.1";

/// Largest accepted upload, in bytes.
const UPLOAD_LIMIT: usize = 64 * 1024 * 1024;

const COUNTER: &str = "ultrai:counter";

type App = State<Arc<Config>>;

pub(crate) fn router(config: Config) -> Router {
    let faults = OnRequest::new(config.faults.clone());
    let common = Router::new()
        .route("/health", get(health))
        .route("/health/ready", get(health))
        .route("/health/live", get(live))
        .route("/api/v1/version", get(version));
    let routes = match config.role {
        Role::Frontend => common.route("/", get(page)),
        Role::Backend => common
            .route("/health/database", get(database))
            .route("/health/redis", get(redis))
            .route("/health/llm-providers", get(providers))
            .route("/api/models", get(models))
            .route("/api/analysis-patterns", get(patterns))
            .route("/api/counter", get(counter).post(increment))
            .route("/api/counter/{value}", put(set_counter))
            .route("/api/v1/upload", post(upload).layer(DefaultBodyLimit::max(UPLOAD_LIMIT)))
            .route("/api/v1/chat", post(chat)),
    };
    routes.layer(middleware::from_fn_with_state(faults, inject)).with_state(Arc::new(config))
}

async fn health(State(config): App) -> Response {
    let (code, status) = if config.faults.never_healthy {
        log(format_args!("health: unhealthy on demand"));
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    } else {
        (StatusCode::OK, "healthy")
    };
    let role = match config.role {
        Role::Backend => "backend",
        Role::Frontend => "frontend",
    };
    (code, Json(json!({ "status": status, "service": role, "version": config.version })))
        .into_response()
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn version(State(config): App) -> Json<Value> {
    let version = if config.faults.wrong_version { WRONG_VERSION } else { config.version.as_str() };
    Json(json!({ "version": version }))
}

async fn page(State(config): App) -> Html<String> {
    let version: String = config
        .version
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-+".contains(*c))
        .collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ultra</title>\
         </head><body><h1>Ultra</h1><p>Version {version}</p></body></html>\n"
    ))
}

/// There is no MongoDB client here: a connection is all that is looked at.
async fn database(State(config): App) -> Response {
    let Some(address) = &config.database else { return not_configured("MONGODB_URI") };
    let connected = within(TcpStream::connect((address.host.as_str(), address.port))).await;
    connection(connected.map(|_| ()))
}

async fn redis(State(config): App) -> Response {
    let Some(address) = &config.redis else { return not_configured("REDIS_URI") };
    let ping = async {
        match Connection::open(address).await?.call(&["PING"]).await? {
            Reply::Status(pong) if pong == "PONG" => Ok(()),
            _ => Err(unexpected()),
        }
    };
    connection(ping.await)
}

async fn providers(State(config): App) -> Json<Value> {
    let providers: Vec<_> = config
        .providers
        .iter()
        .map(|provider| {
            let status = if provider.available { "available" } else { "unavailable" };
            json!({ "name": provider.name, "status": status })
        })
        .collect();
    Json(json!({ "providers": providers }))
}

async fn models() -> Json<Value> {
    Json(json!({ "models": ["sample-large", "sample-small"] }))
}

async fn patterns() -> Json<Value> {
    Json(json!({ "patterns": ["summary", "comparison", "critique"] }))
}

async fn counter(State(config): App) -> Response {
    counted(&config, &["GET", COUNTER]).await
}

async fn increment(State(config): App) -> Response {
    counted(&config, &["INCR", COUNTER]).await
}

async fn set_counter(State(config): App, Path(value): Path<i64>) -> Response {
    let value = value.to_string();
    match ask(&config, &["SET", COUNTER, &value]).await {
        Some(Ok(_)) => counted(&config, &["GET", COUNTER]).await,
        Some(Err(error)) => connection(Err(error)),
        None => not_configured("REDIS_URI"),
    }
}

async fn upload(body: Bytes) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({ "received": body.len() })))
}

async fn chat(Json(message): Json<Value>) -> Json<Value> {
    Json(json!({ "reply": message.get("message").cloned().unwrap_or(Value::Null) }))
}

async fn ask(config: &Config, command: &[&str]) -> Option<io::Result<Reply>> {
    let address = config.redis.as_ref()?;
    Some(async { Connection::open(address).await?.call(command).await }.await)
}

async fn counted(config: &Config, command: &[&str]) -> Response {
    let value = match ask(config, command).await {
        None => return not_configured("REDIS_URI"),
        Some(Ok(Reply::Integer(value))) => Ok(value),
        Some(Ok(Reply::Nothing)) => Ok(0),
        Some(Ok(Reply::Text(text))) => {
            str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(unexpected)
        }
        Some(Ok(Reply::Status(_))) => Err(unexpected()),
        Some(Err(error)) => Err(error),
    };
    match value {
        Ok(value) => Json(json!({ "value": value })).into_response(),
        Err(error) => connection(Err(error)),
    }
}

fn connection(result: io::Result<()>) -> Response {
    match result {
        Ok(()) => Json(json!({ "status": "connected" })).into_response(),
        Err(error) => {
            let answer = json!({ "status": "disconnected", "error": error.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

fn not_configured(variable: &str) -> Response {
    let answer = json!({ "status": "not configured", "error": format!("{variable} is not set") });
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}
