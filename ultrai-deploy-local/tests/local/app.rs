//! What the tests deploy: this test program itself, told by its environment to be a server.

use std::{process, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
use ultrai_deploy_local::Service;

/// Tells the program to be a server, and how.
const MODE: &str = "APP_MODE";

/// How the server behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Answers 200 to everything.
    Well,
    /// Answers 500 to everything.
    Sick,
    /// Exits with 3 at once.
    Exits,
    /// Answers 200 and stays when told to stop.
    Stubborn,
}

/// A service that runs the server.
pub(crate) fn service(mode: Mode) -> Service {
    let program = std::env::current_exe().unwrap();
    let arguments = ["app::run", "--exact", "--nocapture", "--test-threads=1"];
    Service::new([program.to_str().unwrap()].into_iter().chain(arguments))
        .with_env(MODE, format!("{mode:?}"))
}

/// Not a test but the server, where the environment says so.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is how the server is told")]
fn run() {
    let (Ok(mode), port) = (std::env::var(MODE), std::env::var("PORT")) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(&mode, port.ok().map(|port| port.parse().unwrap())));
}

#[expect(clippy::print_stdout, reason = "its output is what the tests look for")]
async fn serve(mode: &str, port: Option<u16>) {
    println!("{mode} on {port:?}");
    if mode == "Exits" {
        process::exit(3);
    }
    if mode == "Stubborn" {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let stubborn = async move { while terminate.recv().await.is_some() {} };
        return match port {
            Some(port) => drop(tokio::join!(answer("200 OK", port), stubborn)),
            None => stubborn.await,
        };
    }
    let status = if mode == "Sick" { "500 Internal Server Error" } else { "200 OK" };
    match port {
        Some(port) => answer(status, port).await,
        None => std::future::pending().await,
    }
}

async fn answer(status: &str, port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that goes away early is its own affair.
        let _broken = tokio::time::timeout(Duration::from_secs(1), reply(stream, status)).await;
    }
}

async fn reply(mut stream: TcpStream, status: &str) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _length = stream.read(&mut request).await?;
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}
