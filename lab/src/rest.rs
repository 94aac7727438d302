//! The machine's REST API as the lab talks to it: one request, one answer, blocking.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use dimmer::audit::Audit;
use dimmer::control::VcpuStatus;
use dimmer::ctl::client::{self, Client, ClientError, Method, segment};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Seconds that a change may take, for `?wait=`.
const WAIT: u32 = 240;
/// Seconds after which the guest is asked again.
const TRY: u32 = 20;
/// The status of a change that has not ended when `?wait=` has.
const STILL_IN_PROGRESS: u16 = 504;

/// A machine's API socket.
#[derive(Debug)]
pub struct Rest {
    runtime: tokio::runtime::Runtime,
    path: PathBuf,
    /// Whether a change that was to end was still in progress when nobody waited for it any longer.
    gave_up: Cell<bool>,
}

/// What the machine answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body, null when there is none.
    pub body: Value,
}

/// The machine did not answer, or not as hoped.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// There is no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer says no.
    #[error("{request}: status {status}: {detail}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The problem's detail, or the whole body.
        detail: String,
    },
    /// The answer is not what it should be.
    #[error("GET {path}: the body is not as documented")]
    Body {
        /// The path.
        path: String,
        /// What is wrong.
        #[source]
        error: serde_json::Error,
    },
}

impl Answer {
    /// The body of an answer with status 2xx.
    fn into_success(self, method: Method, path: &str) -> Result<Value, RestError> {
        let Self { status, body } = self;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let detail = body["detail"].as_str().map_or_else(|| body.to_string(), str::to_owned);
        Err(RestError::Refused { request: format!("{method} {path}"), status, detail })
    }
}

impl Rest {
    /// The API at `path`; nothing is connected yet.
    ///
    /// # Errors
    /// When the host gives no event loop.
    pub fn new(path: &Path) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, path: path.to_owned(), gave_up: Cell::new(false) })
    }

    /// Sends a request; any status is an answer.
    ///
    /// # Errors
    /// [`RestError::Client`].
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, RestError> {
        let answer = self.runtime.block_on(async {
            let mut client = Client::connect(&self.path).await?;
            client.ask(method, path, body).await
        })?;
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Ok(Answer { status: answer.status, body })
    }

    /// Sends a request that is to succeed; returns the body.
    ///
    /// # Errors
    /// [`RestError`], also for any status but 2xx.
    pub fn tell(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, RestError> {
        self.wait_for(method.clone(), path, body)?.into_success(method, path)
    }

    /// Sends a request whose change is to end; any status is an answer.
    fn wait_for(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, RestError> {
        let answer = self.ask(method, path, body)?;
        if answer.status == STILL_IN_PROGRESS {
            self.gave_up.set(true);
        }
        Ok(answer)
    }

    /// Whether a change that was to end did not, of which the guest may be the cause.
    pub fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    /// Plugs a DIMM and waits until the guest has taken it.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn add_dimm(&self, id: &str, size: u64) -> Result<Value, RestError> {
        let body = json!({"id": id, "kind": "dimm", "size": size});
        self.tell(Method::POST, &format!("/memory-devices?wait={WAIT}"), Some(&body))
    }

    /// Plugs a DIMM described by all fields of the request's body but its kind, and waits until the
    /// guest has taken it.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn add_dimm_with(&self, mut body: Value) -> Result<Value, RestError> {
        body["kind"] = json!("dimm");
        self.tell(Method::POST, &format!("/memory-devices?wait={WAIT}"), Some(&body))
    }

    /// Asks the guest to let a DIMM go; returns the end of that, whatever it is.
    ///
    /// # Errors
    /// [`RestError::Client`].
    pub fn remove_dimm(&self, id: &str) -> Result<Answer, RestError> {
        self.wait_for(Method::DELETE, &format!("/memory-devices/{}?wait={WAIT}", segment(id)), None)
    }

    /// Asks for a virtio-mem device's plugged size and waits until it is reached.
    ///
    /// Linux' driver tries again by itself what did not work at once, but only after 50 to 300
    /// seconds (drivers/virtio/virtio_mem.c); asking for the same size again makes it try now.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn resize(&self, id: &str, size: u64) -> Result<Value, RestError> {
        let body = json!({"requested_size": size});
        let path = format!("/memory-devices/{}?wait={TRY}", segment(id));
        for _ in 1..WAIT / TRY {
            let answer = self.ask(Method::PATCH, &path, Some(&body))?;
            if answer.status != STILL_IN_PROGRESS {
                return answer.into_success(Method::PATCH, &path);
            }
        }
        self.tell(Method::PATCH, &path, Some(&body))
    }

    /// One memory device.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn device(&self, id: &str) -> Result<Value, RestError> {
        self.tell(Method::GET, &format!("/memory-devices/{}", segment(id)), None)
    }

    /// The machine's books, held against each other.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn audit(&self) -> Result<Audit, RestError> {
        read("/vm.audit", self.tell(Method::GET, "/vm.audit", None)?)
    }

    /// Where the machine's vCPUs are.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn vcpus(&self) -> Result<Vec<VcpuStatus>, RestError> {
        read("/vcpus", self.tell(Method::GET, "/vcpus", None)?)
    }

    /// How many occasions each fault that is set has seen.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn fault_occasions(&self) -> Result<Vec<u64>, RestError> {
        let answer = self.tell(Method::GET, "/faults", None)?;
        let faults = answer["faults"].as_array().into_iter().flatten();
        Ok(faults.map(|fault| fault["seen"].as_u64().unwrap_or_default()).collect())
    }

    /// Sets faults, an array of them, in place of all earlier ones.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn set_faults(&self, faults: &Value) -> Result<(), RestError> {
        self.tell(Method::PUT, "/faults", Some(&json!({ "faults": faults }))).map(drop)
    }

    /// The `_OST` reports of a DIMM, oldest first.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn ost(&self, id: &str) -> Result<Vec<Value>, RestError> {
        self.list(&format!("/memory-devices/{}/ost", segment(id)))
    }

    /// The requests of a virtio-mem device's driver, oldest first.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn requests(&self, id: &str) -> Result<Vec<Value>, RestError> {
        self.list(&format!("/memory-devices/{}/requests", segment(id)))
    }

    /// A body that is an array.
    fn list(&self, path: &str) -> Result<Vec<Value>, RestError> {
        read(path, self.tell(Method::GET, path, None)?)
    }

    /// All events kept so far, in order.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn events(&self) -> Result<Vec<Value>, RestError> {
        self.events_since(0)
    }

    /// Those of them behind the one with this sequence number.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn events_since(&self, since: u64) -> Result<Vec<Value>, RestError> {
        // The stream never ends by itself; what is there now ends with the latest event.
        let last = self.tell(Method::GET, "/vm.info", None)?["last_event"].as_u64().unwrap_or_default();
        let mut events: Vec<Value> = Vec::new();
        if last <= since {
            return Ok(events);
        }
        self.runtime.block_on(async {
            let mut client = Client::connect(&self.path).await?;
            let mut lines = match client.follow(&format!("/events?since={since}")).await? {
                Ok(lines) => lines,
                Err(client::Answer { status, body }) => {
                    let detail = String::from_utf8_lossy(&body).into_owned();
                    return Err(RestError::Refused { request: "GET /events".to_owned(), status, detail });
                }
            };
            while events.last().map_or(0, |event| event["sequence"].as_u64().unwrap_or_default()) < last {
                let Some(line) = lines.next().await? else { break };
                let event = serde_json::from_slice(&line);
                events.push(event.map_err(|error| RestError::Body { path: "/events".to_owned(), error })?);
            }
            Ok(events)
        })
    }
}

/// What the body of the answer to `GET path` says.
fn read<T: DeserializeOwned>(path: &str, body: Value) -> Result<T, RestError> {
    serde_json::from_value(body).map_err(|error| RestError::Body { path: path.to_owned(), error })
}
