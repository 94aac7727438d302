//! What is answered to which request.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::deeds::Asked;
use super::guard::{Guard, Refusal, stand};
use super::machine::Machine;
use super::stream::Stream;
use super::{assets, explain, playground};
use crate::map::deed::Deed;
use crate::map::seen::Seen;
use crate::map::view::Message;

/// Pages that may be open at a time.
const STREAMS: usize = 64;
/// Changes that may be under way at a time.
const DEEDS: usize = 16;
/// Questions of playgrounds that may be under way at a time.
const QUESTIONS: usize = 2;
/// Most bytes of a request's body.
const BODY: usize = playground::QUESTION;
/// How long a request's body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers a question of a playground, both as JSON; or says why it does not.
pub type Answers = Box<dyn Fn(String) -> Result<String, String> + Send + Sync>;

/// What the server has.
pub struct Server {
    machines: Vec<Machine>,
    guard: Arc<Guard>,
    answers: Answers,
    streams: Arc<Semaphore>,
    deeds: Arc<Semaphore>,
    questions: Arc<Semaphore>,
}

impl Server {
    /// One for these machines.
    pub fn new(machines: Vec<Machine>, guard: Guard, answers: Answers) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        let (streams, deeds, questions) = (places(STREAMS), places(DEEDS), places(QUESTIONS));
        Self { machines, guard: Arc::new(guard), answers, streams, deeds, questions }
    }

    fn machine(&self, name: &str) -> Result<&Machine, Refusal> {
        let names =
            || self.machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>().join(", ");
        let machine = self.machines.iter().find(|machine| machine.name == name);
        machine.ok_or_else(|| nothing(format!("there is no machine {name:?}, only: {}", names())))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("machines", &self.machines).finish_non_exhaustive()
    }
}

/// All routes.
pub fn router(server: Server) -> Router {
    let guard = Arc::clone(&server.guard);
    Router::new()
        .route("/", get(async || Html(assets::LIVE)))
        .route("/playground", get(async || Html(assets::PLAYGROUND)))
        .route("/assets/{name}", get(async |Path(name): Path<String>| assets::answer(&name)))
        .route("/machines", get(machines))
        .route("/machines/{name}/stream", get(stream))
        .route("/machines/{name}/blocks/{index}", get(block))
        .route("/machines/{name}/devices/{id}", get(device))
        .route("/machines/{name}/deeds", post(deed))
        .route("/library", get(library))
        .route("/predict", post(predict))
        .with_state(Arc::new(server))
        .layer(middleware::from_fn_with_state(guard, stand))
}

fn nothing(why: String) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, why)
}

type Answer<T> = Result<T, Refusal>;

/// The names of the machines, and what the letters of a map mean.
async fn machines(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let names: Vec<&str> = server.machines.iter().map(|machine| machine.name.as_str()).collect();
    Json(json!({"machines": names, "legend": playground::legend()}))
}

async fn stream(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Answer<Response> {
    let latest = server.machine(&name)?.latest.clone();
    let place = place(&server.streams, "pages are open")?;
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::new(Stream::new(latest, place))).into_response())
}

async fn block(
    State(server): State<Arc<Server>>,
    Path((name, index)): Path<(String, u64)>,
) -> Answer<impl IntoResponse> {
    explained(&server, &name, move |seen| Some(explain::block(seen, index))).await
}

async fn device(
    State(server): State<Arc<Server>>,
    Path((name, id)): Path<(String, String)>,
) -> Answer<impl IntoResponse> {
    explained(&server, &name, move |seen| explain::device(seen, &id)).await
}

async fn explained<T: Serialize + Send + 'static>(
    server: &Server,
    name: &str,
    explain: impl FnOnce(&Seen) -> Option<T> + Send + 'static,
) -> Answer<Json<T>> {
    let seen = server.machine(name)?.latest.borrow().seen.clone();
    let seen = seen.ok_or_else(|| nothing("nothing was seen of the machine yet".to_owned()))?;
    let answer = aside(move || explain(&seen)).await?;
    answer.map(Json).ok_or_else(|| nothing("there is no such device".to_owned()))
}

/// Has the machine or the guest do something. A `no` of theirs is an answer, too: `{"done": false, "text": …}`.
async fn deed(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<impl IntoResponse> {
    server.guard.authorize(&headers)?;
    let sockets = server.machine(&name)?.sockets.clone();
    let asked: Asked = serde_json::from_str(&text(body).await?).map_err(|error| bad(error.to_string()))?;
    let deed = Deed::from(asked);
    let place = place(&server.deeds, "changes are under way")?;
    let message = aside(move || {
        let message = sockets.carry_out(&deed);
        drop(place);
        message
    });
    let (done, text) = match message.await? {
        Message::Done(text) => (true, text),
        Message::Failed(why) => (false, why),
    };
    Ok(Json(json!({"done": done, "text": text})))
}

async fn library() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], playground::library())
}

async fn predict(State(server): State<Arc<Server>>, body: Body) -> Answer<impl IntoResponse> {
    let place = place(&server.questions, "questions are under way")?;
    let question = text(body).await?;
    let answering = Arc::clone(&server);
    let answer = aside(move || {
        let answer = (answering.answers)(question);
        drop(place);
        answer
    });
    let answer = answer.await?.map_err(|why| Refusal(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer))
}

/// Does what takes its time in a thread of its own.
async fn aside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let defect =
        |_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "a defect of dimmer-lab: see its log".to_owned());
    tokio::task::spawn_blocking(act).await.map_err(defect)
}

fn place(places: &Arc<Semaphore>, what: &str) -> Answer<OwnedSemaphorePermit> {
    let full = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("too many {what}; try again later"));
    Arc::clone(places).try_acquire_owned().map_err(full)
}

fn bad(why: String) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why)
}

/// The text of a request's body.
async fn text(body: Body) -> Answer<String> {
    let late = |_| Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned());
    let bytes = tokio::time::timeout(PATIENCE, to_bytes(body, BODY)).await.map_err(late)?;
    let large = |_| {
        Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {BODY} bytes, or broke off"))
    };
    String::from_utf8(bytes.map_err(large)?.into()).map_err(|_| bad("the body is not UTF-8".to_owned()))
}
