//! The thread that takes configuration in: it decodes, builds, swaps, and only
//! then answers. It is a thread of its own, so that a huge push delays neither
//! health checks nor the admin port.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use evenkeel_shared::xds::ResourceType;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::dns::plan::News;
use crate::runtime::build::{Builder, Staged};
use crate::runtime::retired::Retired;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::access_log::LogTargets;
use crate::tick::Tick;
use crate::xds::cache::{Image, Writer};
use crate::xds::doors::{Doors, Ports};
use crate::xds::session::{Session, Step};
use crate::xds::state::Key;
use crate::xds::view::{ConfigView, HeldBack, Status};

/// How often old snapshots are looked at, when nothing else happens.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How often it is tried whether a listener that could not be bound can be.
pub const REBIND_EVERY: Duration = Duration::from_secs(2);

/// How many requests may wait for a stream; a server that does not read so many
/// is given up.
pub const REQUEST_QUEUE: usize = 1_024;

/// What the applier is told.
#[derive(Debug)]
pub enum Command {
    /// A stream is open; its requests go here.
    Connected(mpsc::Sender<DeltaDiscoveryRequest>),
    /// A response came. The answer says whether the stream is still of use.
    Response(Box<DeltaDiscoveryResponse>, oneshot::Sender<bool>),
    /// The stream has ended.
    Disconnected,
    /// Endpoints of names were found.
    Found(News),
    /// Apply what is held back. The answer says what was applied, if anything.
    Confirm(oneshot::Sender<Option<String>>),
    /// Close all listeners, and open none any more.
    Shut,
    /// Write what is to be written, and end.
    Stop,
}

/// Tells the applier. Never waits.
#[derive(Debug, Clone)]
pub struct Handle(Sender<Command>);

impl Handle {
    /// Tells it; says whether it still listens.
    pub fn tell(&self, command: Command) -> bool {
        self.0.send(command).is_ok()
    }

    /// Applies what is held back because it would remove too much. `None` if
    /// nothing is.
    pub async fn confirm(&self) -> Option<String> {
        let (answer, applied) = oneshot::channel();
        self.tell(Command::Confirm(answer));
        applied.await.ok().flatten()
    }
}

/// What the applier works on.
#[derive(Debug)]
pub struct Applier<P: Ports> {
    /// Its half of the protocol.
    pub session: Session,
    /// Builds the runtime.
    pub builder: Builder,
    /// The listeners' sockets.
    pub doors: Doors<P>,
    /// What is in force.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Where access logs go.
    pub log_targets: Arc<LogTargets>,
    /// What is shown.
    pub status: Arc<Status>,
    /// Now.
    pub clock: Clock,
    /// Node id, for the file.
    pub node: String,
    /// Writes the last-known-good file, if it is kept.
    pub cache: Option<Writer>,
    /// Whether it began with what an earlier run saved.
    pub restored: bool,
}

/// The applier at work.
#[derive(Debug)]
struct Worker<P: Ports> {
    parts: Applier<P>,
    requests: Option<mpsc::Sender<DeltaDiscoveryRequest>>,
    /// What somebody may still use.
    retired: Retired,
    /// When it was last tried to bind what could not be bound.
    tried: Tick,
}

impl<P: Ports> Applier<P> {
    /// Applies what an earlier run saved, before the thread begins.
    pub fn restore(&mut self, image: Image) {
        self.restored = true;
        let step = self.session.restore(image.resources, &image.version);
        let (_, before) = self.apply(step);
        drop(before);
    }

    /// Begins the thread.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(self) -> io::Result<(Handle, JoinHandle<()>)> {
        let (tell, told) = channel();
        let worker = Worker {
            parts: self,
            requests: None,
            retired: Retired::default(),
            tried: Tick::default(),
        };
        let thread = std::thread::Builder::new()
            .name("evenkeel-config".to_owned())
            .spawn(move || worker.run(&told))?;
        Ok((Handle(tell), thread))
    }
}

impl<P: Ports> Applier<P> {
    /// Puts a step in force, except what cannot be: that is refused. Returns
    /// what to send, and the snapshot before.
    fn apply(&mut self, mut step: Step) -> (Vec<DeltaDiscoveryRequest>, Option<Arc<Snapshot>>) {
        let before = self
            .build(&mut step)
            .map(|staged| self.builder.commit(staged, &self.current));
        let snapshot = self.current.load_full();
        self.log_targets.update(&snapshot);
        if let Some((type_url, true)) = step.answer() {
            self.status.count_nack(type_url);
        }
        let now = self.clock.now();
        let told_listeners = step.is_about_listeners();
        let requests = self.session.commit(step, now);
        let unkept = self.session.unkept();
        self.doors.settle(self.session.active(), &unkept);
        self.publish(told_listeners);
        if let Some(cache) = &self.cache {
            cache.save(
                &self.node,
                Arc::clone(self.session.version()),
                self.session.held().clone(),
            );
        }
        for refused in requests
            .iter()
            .filter_map(|request| request.error_detail.as_ref())
        {
            warn!(version = %self.session.version(), detail = %refused.message, "configuration refused");
        }
        (requests, before)
    }

    /// Builds what the step is to put in force. What cannot be bound or built is
    /// refused until the rest can be; if nothing helps, all of the step is.
    fn build(&mut self, step: &mut Step) -> Option<Staged> {
        let mut abandoned = false;
        loop {
            let unbound = self.doors.prepare(step.held());
            let staged = self.builder.stage(step.active(), step.version());
            let unbuildable = match staged {
                Ok(staged) if unbound.is_empty() => return Some(staged),
                Ok(_) => Vec::new(),
                Err(unbuildable) => unbuildable,
            };
            let mut progress = false;
            for (key, reasons) in unbound {
                progress |= step.put_off(&key, reasons);
            }
            for (key, reasons) in unbuildable {
                // Another listener has it, and may leave.
                let taken = key.kind == ResourceType::Listener
                    && reasons.iter().all(|fault| fault.path == "address");
                progress |= if taken {
                    step.put_off(&key, reasons)
                } else {
                    step.reject(&key, reasons)
                };
            }
            if progress {
                continue;
            }
            if abandoned {
                return None;
            }
            abandoned = true;
            step.abandon("cannot be built".to_owned());
        }
    }

    /// What can be accepted because an address has come free; `None` if nothing.
    fn rebind(&mut self) -> Option<Step> {
        let doors = &mut self.doors;
        let unbound = self.session.unbound();
        let free: Vec<Key> = unbound
            .filter(|(_, listener)| doors.is_free(&listener.name, listener.address))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &free {
            info!(listener = %key.name, "the address has come free");
        }
        self.session.retry(&free)
    }

    /// Shows the configuration as it stands.
    fn publish(&self, told_listeners: bool) {
        let session = &self.session;
        let waiting = session.active().waiting(session.held());
        let (names, found) = session.names();
        // Names are waited for only so long, and by then are found or given up.
        let waits = names.iter().any(|target| !found.contains_key(target))
            || waiting.iter().any(|key| key.kind == ResourceType::Listener);
        let mass_removal = session.pending().map(|pending| HeldBack {
            reason: pending.reason.clone(),
            resources: pending.changes.keys().cloned().collect(),
        });
        let was = self.status.config.load();
        let told = told_listeners || was.told_listeners;
        let unkept = session.unkept();
        if (self.restored || (told && !waits)) && unkept.is_empty() {
            self.status.set_configured();
        }
        info!(
            version = %session.version(),
            clusters = session.active().clusters.len(),
            listeners = session.active().listeners.len(),
            waiting = waiting.len(),
            refused = session.rejected().len(),
            "configuration in force"
        );
        self.status.config.store(Arc::new(ConfigView {
            version: Arc::clone(session.version()),
            held: session.held().clone(),
            names: Arc::clone(names),
            found: Arc::clone(found),
            active: Arc::clone(session.active()),
            rejected: session.rejected().clone(),
            waiting,
            unkept,
            mass_removal,
            told_listeners: told,
            changed: Some(self.clock.now()),
        }));
        self.status.tell();
    }
}

impl<P: Ports> Worker<P> {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let now = self.parts.clock.now();
            if let Some(step) = self.parts.session.expire(now) {
                self.step(step);
            }
            if now.since(self.tried) >= REBIND_EVERY {
                self.tried = now;
                if let Some(step) = self.parts.rebind() {
                    self.step(step);
                }
            }
            self.retired.free(&self.parts.current.load());
            let wait = self
                .parts
                .session
                .next_deadline()
                .map_or(HOUSEKEEPING, |deadline| {
                    deadline.since(now).min(HOUSEKEEPING)
                });
            match commands.recv_timeout(wait) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        if let Some(cache) = self.parts.cache.take() {
            cache.finish();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connected(requests) => {
                self.requests = Some(requests);
                let now = self.parts.clock.now();
                let first = self.parts.session.connect(now);
                self.send(first);
            }
            Command::Response(response, done) => {
                let step = self.parts.session.receive(*response);
                self.step(step);
                // Nobody waits for it if the stream has ended meanwhile.
                let _ = done.send(self.requests.is_some());
            }
            Command::Disconnected => {
                self.requests = None;
                self.parts.session.disconnect();
            }
            Command::Found(news) => {
                let step = self.parts.session.find(news);
                self.step(step);
            }
            Command::Confirm(done) => {
                let reason = self.parts.session.pending().map(|held| held.reason.clone());
                if let Some(step) = self.parts.session.confirm() {
                    self.step(step);
                }
                let _ = done.send(reason);
            }
            Command::Shut => self.parts.doors.shut(),
            Command::Stop => {}
        }
    }

    fn step(&mut self, step: Step) {
        let (requests, before) = self.parts.apply(step);
        if let Some(before) = before {
            self.retired.take(before);
        }
        self.send(requests);
    }

    fn send(&mut self, requests: Vec<DeltaDiscoveryRequest>) {
        let Some(queue) = &self.requests else {
            return;
        };
        for request in requests {
            if queue.try_send(request).is_err() {
                warn!("the control plane does not read; giving its stream up");
                self.requests = None;
                return;
            }
        }
    }
}
