//! A machine that is none: an API and an agent, as `dimmer run` has them, with boot memory and a virtio-mem device that does as
//! it is asked.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use axum::extract::{Path as Named, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use dimmer_agent::protocol::{Action, BlockResult, Request};
use dimmer_lab::layout::{Block, BlockState, Layout};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Bytes of a memory block.
pub const BLOCK: u64 = 128 << 20;
/// First block of the device's region, and its length in blocks.
pub const REGION: (u64, u64) = (48, 64);

/// What it has.
#[derive(Debug)]
struct Memory {
    layout: Layout,
    plugged: u64,
    events: Vec<Value>,
}

type Shared = Arc<Mutex<Memory>>;

/// The machine; it ends when it is dropped.
pub struct Machine {
    folder: tempfile::TempDir,
    memory: Shared,
    /// Dropped, it ends the API.
    running: Option<oneshot::Sender<()>>,
}

fn block(index: u64, zone: &str) -> Block {
    let zones = vec![zone.to_owned()];
    Block { index, state: BlockState::Online, zones, nodes: vec![0], removable: Some(true), group: None }
}

impl Machine {
    /// It runs.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blocks =
            (1..16).map(|index| block(index, "DMA32")).chain((32..48).map(|index| block(index, "Normal")));
        let layout = Layout {
            kernel: "6.12.0-test".to_owned(),
            block_size: BLOCK,
            online_policy: Some("contig-zones".to_owned()),
            auto_online_blocks: Some("online".to_owned()),
            blocks: blocks.collect(),
            ..Layout::default()
        };
        let events = vec![json!({"sequence": 1, "timestamp": {"secs": 1, "nanos": 0}, "event": "booting"})];
        let memory = Arc::new(Mutex::new(Memory { layout, plugged: 0, events }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let api = {
            let _guard = runtime.enter();
            tokio::net::UnixListener::bind(folder.path().join("api")).unwrap()
        };
        let routes = Router::new()
            .route("/api/v1/memory-devices", get(devices))
            .route("/api/v1/memory-devices/{id}", patch(resize).delete(eject))
            .route("/api/v1/memory-devices/{id}/requests", get(async || Json(json!([]))))
            .route("/api/v1/vm.info", get(info))
            .route("/api/v1/events", get(events_so_far))
            .with_state(Arc::clone(&memory));
        let (running, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = axum::serve(api, routes) => {}
                    _ = ended => {}
                }
            });
        });
        let agent = UnixListener::bind(folder.path().join("agent")).unwrap();
        let guest = Arc::clone(&memory);
        thread::spawn(move || {
            for client in agent.incoming().map_while(Result::ok) {
                let guest = Arc::clone(&guest);
                thread::spawn(move || serve(client, &guest));
            }
        });
        Self { folder, memory, running: Some(running) }
    }

    /// It as an argument of `--machine`.
    pub fn argument(&self, name: &str) -> String {
        let path = |socket: &str| self.folder.path().join(socket).display().to_string();
        format!("{name},api={},agent={}", path("api"), path("agent"))
    }

    /// How its block is.
    pub fn state(&self, index: u64) -> Option<BlockState> {
        let memory = lock(&self.memory);
        memory.layout.blocks.iter().find(|block| block.index == index).map(|block| block.state.clone())
    }

    /// The machine goes away.
    pub fn end(&mut self) {
        self.running = None;
        for socket in ["api", "agent"] {
            let path: PathBuf = Path::new(self.folder.path()).join(socket);
            fs::remove_file(path).unwrap();
        }
    }
}

fn lock(memory: &Shared) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    fn device(&self) -> Value {
        json!({
            "id": "vmem0", "kind": "virtio-mem", "node": 0, "slot": null, "block_size": 2 << 20,
            "ranges": [{"start": REGION.0 * BLOCK, "size": REGION.1 * BLOCK}], "usable_size": REGION.1 * BLOCK,
            "requested_size": self.plugged, "plugged_size": self.plugged, "waits_for": null,
            "state": if self.plugged > 0 { "plugged" } else { "idle" }, "last": {"outcome": "done", "reason": null},
        })
    }
}

async fn devices(State(memory): State<Shared>) -> Json<Value> {
    Json(json!([lock(&memory).device()]))
}

async fn info(State(memory): State<Shared>) -> Json<Value> {
    Json(json!({"last_event": lock(&memory).events.len()}))
}

/// All events, as if all were new; nobody asks unless some are.
async fn events_so_far(State(memory): State<Shared>) -> String {
    lock(&memory).events.iter().map(|event| format!("{event}\n")).collect()
}

async fn resize(State(memory): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut memory = lock(&memory);
    memory.plugged = body["requested_size"].as_u64().unwrap();
    let end = REGION.0 + memory.plugged / BLOCK;
    memory.layout.blocks.retain(|block| block.index < REGION.0);
    memory.layout.blocks.extend((REGION.0..end).map(|index| block(index, "Movable")));
    let (sequence, device) = (memory.events.len() + 1, memory.device());
    let timestamp = json!({"secs": sequence, "nanos": 0});
    memory
        .events
        .push(json!({"sequence": sequence, "timestamp": timestamp, "event": "finished", "device": device}));
    Json(memory.device())
}

async fn eject(Named(id): Named<String>) -> (StatusCode, Json<Value>) {
    (StatusCode::CONFLICT, Json(json!({"detail": format!("{id}: the guest keeps it")})))
}

/// The agent.
fn serve(client: UnixStream, memory: &Shared) {
    let mut answers = client.try_clone().unwrap();
    for line in BufReader::new(client).lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
        let request: Request = serde_json::from_str(&line).unwrap();
        let answer = match act(&request.action, &mut lock(memory)) {
            Ok(answer) => json!({"id": request.id, "ok": answer}),
            Err(why) => json!({"id": request.id, "error": {"text": why}}),
        };
        if writeln!(answers, "{answer}").is_err() {
            return;
        }
    }
}

fn act(action: &Action, memory: &mut Memory) -> Result<Value, &'static str> {
    match action {
        Action::Ping => Ok(json!({"kernel": memory.layout.kernel, "agent": "test", "boot_id": "first"})),
        Action::Layout => Ok(serde_json::to_value(&memory.layout).unwrap()),
        Action::Offline { blocks } => Ok(change(memory, blocks.iter(), &BlockState::Offline)),
        Action::Online { blocks, .. } => Ok(change(memory, blocks.iter(), &BlockState::Online)),
        _ => Err("this guest tells nothing of that"),
    }
}

fn change(memory: &mut Memory, blocks: impl Iterator<Item = u64>, state: &BlockState) -> Value {
    let result = |index| match memory.layout.blocks.iter_mut().find(|block| block.index == index) {
        Some(block) => {
            block.state = state.clone();
            BlockResult { index, error: None, errno: None }
        }
        None => BlockResult { index, error: Some("ENOENT".to_owned()), errno: Some(2) },
    };
    serde_json::to_value(blocks.map(result).collect::<Vec<_>>()).unwrap()
}
