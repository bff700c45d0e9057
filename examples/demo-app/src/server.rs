//! The life of the process: start, serve, stop.

use std::{fmt, future::pending, io, io::Write as _, net::Ipv4Addr};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{Config, routes::router};

/// Listens on the configured port and serves until SIGTERM or SIGINT, then finishes the requests in
/// flight. The faults that concern start and end are carried out here.
pub async fn run(config: Config) -> io::Result<()> {
    // Before anything else: as process 1 of a container, a signal without a handler is lost.
    let stop = stop_signal(config.faults.ignore_sigterm)?;
    tokio::pin!(stop);
    let crash_after = config.faults.crash_after;
    let crash = async move {
        match crash_after {
            Some(delay) => sleep(delay).await,
            None => pending().await,
        }
    };
    tokio::pin!(crash);

    if let Some(delay) = config.faults.slow_start {
        log(format_args!("starting in {} s on demand", delay.as_secs()));
        tokio::select! {
            () = sleep(delay) => {}
            () = &mut stop => return Ok(()),
            () = &mut crash => return Err(crashed()),
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, config.port)).await?;
    tokio::select! {
        served = serve(listener, config, stop) => served,
        () = crash => Err(crashed()),
    }
}

/// Serves on `listener` until `stop` is ready, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    log(format_args!("version {} listens on {}", config.version, listener.local_addr()?));
    // The server wants a future that lives as long as the process; a channel carries the news.
    let (stopped, stopping) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router(config)).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is a reason to stop too.
        let _ = stopping.await;
    });
    let announce = async {
        stop.await;
        log(format_args!("stopping: requests in flight are finished"));
        drop(stopped);
    };
    let ((), outcome) = tokio::join!(announce, server.into_future());
    outcome
}

/// One line to standard error, which is what `docker logs` shows. A closed pipe is no reason to stop.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "demo-app: {line}");
}

fn stop_signal(ignore: bool) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !ignore {
                return;
            }
            log(format_args!("signal ignored on demand"));
        }
    })
}

fn crashed() -> io::Error {
    io::Error::other("crashed on demand")
}
