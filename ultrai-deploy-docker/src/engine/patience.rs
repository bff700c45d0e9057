//! An engine that goes away for a while, since it is restarted or updated.
//!
//! A request that can be sent again is sent again until the engine is back: one that only looks,
//! always; one that changes something, only if it certainly was not sent. The deadline of a step
//! ends the waiting, too, as it ends every other.

use std::{future::Future, time::Duration};

use bollard::errors::Error as Bollard;
use tokio::time::Instant;
use ultrai_deploy_core::error::{Effect, Error, Result};

use super::{Engine, engine_error};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

impl Engine {
    /// A request that changes nothing.
    pub(crate) async fn read<T, F>(
        &self,
        operation: &'static str,
        object: &str,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Bollard>>,
    {
        self.repeat(operation, object, request, |_error| true).await
    }

    /// A request that changes something.
    pub(crate) async fn write<T, F>(
        &self,
        operation: &'static str,
        object: &str,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Bollard>>,
    {
        self.repeat(operation, object, request, |error| error.effect() == Effect::None).await
    }

    async fn repeat<T, F>(
        &self,
        operation: &'static str,
        object: &str,
        request: impl Fn() -> F,
        harmless: fn(&Error) -> bool,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Bollard>>,
    {
        let give_up = Instant::now() + self.absence();
        loop {
            // Boxed, since requests are large and this is in every step's future.
            let error = match Box::pin(request()).await {
                Ok(answer) => return Ok(answer),
                Err(source) => engine_error(operation, object, source),
            };
            if !error.is_retryable() || !harmless(&error) {
                return Err(error);
            }
            if Instant::now() >= give_up {
                return Err(error.exhausted());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use ultrai_deploy_core::error::ErrorKind;
    use ultrai_deploy_testkit::server::{Answer, Server};

    use super::*;
    use crate::config::Config;

    const PATIENT: Duration = Duration::from_mins(1);

    fn version() -> Answer {
        let version = json!({"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"});
        Answer::json(200, version.to_string())
    }

    /// An engine that has answered once.
    async fn known(server: &Server, absence: Duration) -> Engine {
        let address = format!("tcp://{}", server.address());
        let engine = Engine::new(&Config { absence, ..Config::at(address) });
        engine.client().await.unwrap();
        engine
    }

    #[tokio::test]
    async fn a_look_is_repeated_when_its_answer_got_lost() {
        let lost = [Answer::close(), Answer::text(503, "starting")];
        let there = Answer::json(200, "[]");
        let answers = [version()].into_iter().chain(lost).chain([there]);
        let server = Server::queue(answers).await.unwrap();
        let engine = known(&server, PATIENT).await;
        assert_eq!(engine.containers(&[]).await.unwrap(), []);
        assert_eq!(server.requests().len(), 4);
    }

    #[tokio::test]
    async fn a_change_is_not_repeated_when_its_answer_got_lost() {
        let server = Server::queue([version(), Answer::close()]).await.unwrap();
        let engine = known(&server, PATIENT).await;
        let error = engine.start("web").await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_change_that_could_not_be_sent_waits_for_the_engine() {
        let server = Server::queue([version()]).await.unwrap();
        let (address, engine) = (server.address(), known(&server, PATIENT).await);
        drop(server);
        let back = async {
            tokio::time::sleep(2 * PAUSE).await;
            let (mut stream, _) = TcpListener::bind(address).await.unwrap().accept().await.unwrap();
            stream.read_u8().await.unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (started, _stream) = tokio::join!(engine.start("web"), back);
        started.unwrap();
    }

    #[tokio::test]
    async fn an_engine_that_stays_away_is_not_waited_for_twice() {
        let server = Server::queue([version()]).await.unwrap();
        let engine = known(&server, PAUSE).await;
        drop(server);
        let error = engine.container("web").await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
    }
}
