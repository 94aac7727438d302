//! The API's connections: HTTP as every client takes it, and a bounded number of them, each of which ends when its client
//! says nothing for long, so that clients take neither the descriptors that the machine needs nor each other's place.
//!
//! The reason phrase behind the status is empty, which HTTP allows (RFC 9112, section 4), and names of headers are in title
//! case: cloud-hypervisor's client reads the status to the end of the line as a number, and finds headers by exact case.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::limits::{BodyLimit, Limits};
use super::line::{Heard, Line, Lines, Sent};
use crate::socket_server::{Stopping, accept, stopped};

/// Serves `router` to whoever connects, until the server stops and all requests under way are answered.
pub async fn serve(listener: UnixListener, router: Router, limits: Limits, stopping: Stopping) {
    let lines = Arc::new(Lines::default());
    let mut tasks = JoinSet::new();
    let mut look = tokio::time::interval(limits.look);
    let mut end = pin!(stopped(stopping.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            _ = look.tick() => lines.look(&limits),
            Some(_) = tasks.join_next() => {}
            stream = accept(&listener), if tasks.len() <= limits.connections => {
                let line = lines.add();
                tasks.spawn(connection(stream, router.clone(), line, limits.body, stopping.clone()));
                if tasks.len() > limits.connections {
                    lines.make_room();
                }
            }
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Serves one connection to its end.
async fn connection(stream: UnixStream, router: Router, line: Arc<Line>, body: Duration, stopping: Stopping) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        let busy = line.busy();
        request.extensions_mut().insert(BodyLimit(body));
        let response = router.call(request);
        async move {
            let mut response: Response = response.await?;
            response.extensions_mut().insert(ReasonPhrase::from_static(b""));
            Ok::<_, Infallible>(response.map(|body| Body::new(Sent::new(body, busy))))
        }
    });
    // The lines are looked at instead: hyper's limit for heads does not tell a slow request from a connection without one.
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).header_read_timeout(None);
    let io = TokioIo::new(Heard::new(stream, line.clone()));
    let mut served = pin!(builder.serve_connection(io, service));
    let mut stopped = pin!(stopped(stopping));
    let mut told = false;
    loop {
        tokio::select! {
            // A client that breaks off is its own affair.
            _ = served.as_mut() => return,
            () = line.ended() => return,
            () = &mut stopped, if !told => {
                served.as_mut().graceful_shutdown();
                told = true;
            }
        }
    }
}
