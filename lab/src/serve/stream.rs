//! What a page is told while it is open: server-sent events (WHATWG HTML, section 9.2), each with what changed since the one
//! before.
//!
//! Nothing is kept for a page: while it does not read, what it will be told next grows to no more than the latest state, the
//! history and the events that are kept for all.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;

use super::machine::Latest;
use crate::map::seen;

/// How often a stream says that it is alive, so that it is noticed when nobody listens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most events that a page is told of at once, the latest ones.
const EVENTS: usize = 500;

/// What a page was told so far, by the numbers that these things have.
#[derive(Debug, Default)]
struct Told {
    shown: u64,
    sample: u64,
    event: u64,
    start: u64,
}

impl Told {
    /// What is new, as one event.
    fn next(&mut self, latest: &Latest) -> String {
        let is_fresh = self.start != latest.start;
        if is_fresh {
            (self.start, self.event) = (latest.start, 0);
        }
        let seen = latest.seen.as_deref();
        let events = seen.map_or(&[][..], |seen| &seen.events);
        let news = events.partition_point(|event| event.sequence <= self.event);
        let events: Vec<Value> =
            events[news.max(events.len().saturating_sub(EVENTS))..].iter().map(words).collect();
        let samples = latest.history.after(self.sample);
        let all = json!({
            "trouble": latest.trouble, "is_fresh": is_fresh, "events": events, "samples": samples,
        });
        let shown = if self.shown == latest.number { "null" } else { &latest.shown };
        self.event = seen.and_then(|seen| seen.events.last()).map_or(0, |event| event.sequence);
        self.sample = samples.last().map_or(self.sample, |sample| sample.number);
        self.shown = latest.number;
        let mut text = all.to_string();
        text.pop();
        format!("data: {text},\"shown\":{shown}}}\n\n")
    }
}

fn words(event: &seen::Told) -> Value {
    json!({"number": event.sequence, "seconds": event.timestamp.as_secs_f64(), "text": event.text})
}

/// What is to be told next, with the receiver and what was told by then; nothing once the machine is watched no more.
type Next = Pin<Box<dyn Future<Output = Option<(String, Receiver<Latest>, Told)>> + Send>>;

/// The body of the answer: it ends with the server alone.
pub struct Stream {
    next: Next,
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// Begins with all that there is.
    pub fn new(mut latest: Receiver<Latest>, place: OwnedSemaphorePermit) -> Self {
        latest.mark_changed();
        Self { next: Box::pin(news(latest, Told::default())), _place: place }
    }
}

async fn news(mut latest: Receiver<Latest>, mut told: Told) -> Option<(String, Receiver<Latest>, Told)> {
    let text = match tokio::time::timeout(HEARTBEAT, latest.changed()).await {
        Ok(Err(_)) => return None,
        Ok(Ok(())) => told.next(&latest.borrow_and_update()),
        Err(_) => ":\n\n".to_owned(),
    };
    Some((text, latest, told))
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((text, latest, told)) = ready!(self.next.as_mut().poll(context)) else {
            self.next = Box::pin(std::future::ready(None));
            return Poll::Ready(None);
        };
        self.next = Box::pin(news(latest, told));
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;
    use crate::map::watch::Look;

    fn event(sequence: u64) -> seen::Told {
        seen::Told { sequence, timestamp: Duration::from_secs(1), text: "paused".to_owned() }
    }

    fn told(told: &mut Told, latest: &Latest) -> Value {
        let text = told.next(latest);
        let text = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).unwrap();
        assert!(!text.contains('\n'));
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (mut latest, mut page) = (Latest::default(), Told::default());
        let nothing = told(&mut page, &latest);
        assert_eq!((&nothing["shown"], &nothing["trouble"]), (&Value::Null, &Value::Null));
        let mut seen = sample::seen();
        seen.events = vec![event(1), event(2)];
        latest.take(Look::Seen(Box::new(seen.clone())));
        let all = told(&mut page, &latest);
        assert_eq!(all["shown"]["block_size"], 128 << 20);
        assert_eq!(
            (all["samples"].as_array().unwrap().len(), all["events"].as_array().unwrap().len()),
            (1, 2)
        );
        latest.take(Look::Nothing("it is silent".to_owned()));
        let trouble = told(&mut page, &latest);
        assert_eq!((&trouble["trouble"], &trouble["shown"]), (&json!("it is silent"), &Value::Null));
        assert_eq!((&trouble["samples"], &trouble["events"]), (&json!([]), &json!([])));
        seen.events.push(event(3));
        latest.take(Look::Seen(Box::new(seen.clone())));
        assert_eq!(told(&mut page, &latest)["events"][0]["number"], 3);
        // Another machine, whose events are counted anew.
        seen.events = vec![event(1)];
        latest.take(Look::Seen(Box::new(seen)));
        let other = told(&mut page, &latest);
        assert_eq!((&other["is_fresh"], &other["events"][0]["number"]), (&json!(true), &json!(1)));
    }

    #[test]
    fn no_more_than_the_latest_events_are_told() {
        let mut latest = Latest::default();
        let mut seen = sample::seen();
        seen.events = (1..=2000).map(event).collect();
        latest.take(Look::Seen(Box::new(seen)));
        let all = told(&mut Told::default(), &latest);
        assert_eq!(
            (all["events"].as_array().unwrap().len(), &all["events"][499]["number"]),
            (500, &json!(2000))
        );
    }
}
