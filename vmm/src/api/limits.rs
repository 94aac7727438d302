//! How much of the API its clients may take, and for how long.

use std::time::Duration;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time. One more is accepted, and the one that has waited longest for a request to come makes room;
    /// while there is none, the next ones wait in the socket's backlog.
    pub connections: usize,
    /// Requests at a time that last: event streams, and changes whose end is waited for. The next ones are answered 503.
    pub long: usize,
    /// How long a connection lives on without a request.
    pub idle: Duration,
    /// How long a request's head may take from its first byte on.
    pub head: Duration,
    /// How long a request's body may take.
    pub body: Duration,
    /// How often the connections are looked at.
    pub look: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 128,
            long: 96,
            idle: seconds(60),
            head: seconds(10),
            body: seconds(30),
            look: seconds(1),
        }
    }
}

/// How long the body of a request may take: goes with the request.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub Duration);
