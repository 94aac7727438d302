//! Who may ask for what.
//!
//! Whoever can connect may look, from a page of this server alone: the name in `Host` must be one of its own, so that no page
//! of a stranger whose name was made to lead here (DNS rebinding) is this page's origin. What changes something, or takes
//! time, must come from this origin (`Origin`), and what changes a machine needs the token in a header, which a browser sends
//! of no page's own accord.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;

/// What the browser may do on a page: run and load what this server has, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// An answer that says no: the status, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub StatusCode, pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({"problems": [self.1]}))).into_response()
    }
}

/// What requests are held against.
#[derive(Debug, Clone)]
pub struct Guard {
    /// What changes of machines need.
    token: String,
    /// Where the server listens.
    listen: IpAddr,
    /// Names that it has besides.
    names: Vec<String>,
}

impl Guard {
    /// One with a token of its own.
    ///
    /// # Errors
    /// When the host has no random numbers.
    pub fn new(listen: SocketAddr, names: Vec<String>) -> io::Result<Self> {
        let mut random = [0_u8; 32];
        // So few bytes come all at once, or not at all (getrandom(2)).
        rustix::io::retry_on_intr(|| getrandom(&mut random, GetRandomFlags::empty()))?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { token, listen: listen.ip(), names })
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the value of a header `Host` is one of the server's own; its port may be another one's that leads here.
    fn is_own(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_ours = |address: IpAddr| {
            let loopback = self.listen.is_loopback() || self.listen.is_unspecified();
            address == self.listen || self.listen.is_unspecified() || (loopback && address.is_loopback())
        };
        name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || name.parse().is_ok_and(is_ours)
    }

    /// Whether a request may be looked at.
    ///
    /// # Errors
    /// Why not.
    fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST).filter(|host| self.is_own(host)).ok_or_else(|| {
            let why = "Host: it is none of this server's names; `--name` gives it more".to_owned();
            Refusal(StatusCode::MISDIRECTED_REQUEST, why)
        })?;
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let origin = format!("http://{host}");
        if text(headers, header::ORIGIN) != Some(origin.as_str()) {
            let why = format!("Origin: only a page of this server may ask for that: {origin}");
            return Err(Refusal(StatusCode::FORBIDDEN, why));
        }
        let is_json =
            |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
        if !text(headers, header::CONTENT_TYPE).is_some_and(is_json) {
            let why = "Content-Type: it must be application/json".to_owned();
            return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        Ok(())
    }

    /// Whether a request may change a machine.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| is_same(given.as_bytes(), self.token.as_bytes())) {
            return Ok(());
        }
        let why =
            "Authorization: \"Bearer TOKEN\" is missing or wrong; the token is part of the address that \
                   `dimmer-lab serve` printed"
                .to_owned();
        Err(Refusal(StatusCode::UNAUTHORIZED, why))
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether they are the same, in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

/// Stands before all that is answered.
pub async fn stand(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listen: &str, names: &[&str]) -> Guard {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Guard::new(format!("{listen}:80").parse().unwrap(), names).unwrap()
    }

    #[test]
    fn only_own_names_are_answered_to() {
        let home = guard("127.0.0.1", &[]);
        for own in ["127.0.0.1:80", "localhost:80", "LOCALHOST", "[::1]:80", "127.0.0.1:9000"] {
            assert!(home.is_own(own), "{own}");
        }
        for other in
            ["", "evil.example", "evil.example:80", "10.0.0.1:80", "localhost.evil.example", "[::2]:80"]
        {
            assert!(!home.is_own(other), "{other}");
        }
        let open = guard("0.0.0.0", &["Lab.example"]);
        assert!(open.is_own("10.0.0.1:80") && open.is_own("lab.example:80") && !open.is_own("evil.example"));
        let one = guard("10.0.0.1", &[]);
        assert!(one.is_own("10.0.0.1") && !one.is_own("10.0.0.2") && !one.is_own("127.0.0.1"));
    }

    #[test]
    fn tokens_are_long_and_each_is_another_one() {
        let (one, other) = (guard("127.0.0.1", &[]), guard("127.0.0.1", &[]));
        assert_eq!(one.token().len(), 64);
        assert_ne!(one.token(), other.token());
        assert!(is_same(b"abc", b"abc") && !is_same(b"abc", b"abd") && !is_same(b"abc", b"ab"));
    }
}
