//! The workers as what listeners' sockets are made of.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_shared::names::ListenerName;
use tracing::{error, info};

use crate::admin::Addresses;
use crate::listen::socket::Bound;
use crate::worker::Workers;
use crate::xds::doors::Ports;

/// Binds for all workers, and shows what is bound.
#[derive(Debug)]
pub(super) struct WorkerPorts {
    pub(super) workers: Arc<Workers>,
    pub(super) addresses: Addresses,
}

impl WorkerPorts {
    fn show(&self) {
        *self.addresses.lock() = self.workers.addresses();
    }
}

impl Ports for WorkerPorts {
    type Bound = Bound;

    fn bind(&mut self, listener: &ListenerName, address: SocketAddr) -> io::Result<Bound> {
        self.workers.bind(listener, address)
    }

    fn serve(&mut self, bound: Bound) {
        let (listener, address) = (bound.name.clone(), bound.address);
        match self.workers.serve(bound) {
            Ok(()) => info!(%listener, %address, "listening"),
            Err(reason) => error!(%listener, %address, ?reason, "cannot listen"),
        }
        self.show();
    }

    fn unbind(&mut self, listener: &ListenerName) {
        match self.workers.unbind(listener) {
            Ok(()) => info!(%listener, "draining"),
            Err(reason) => error!(%listener, ?reason, "cannot drain"),
        }
        self.show();
    }

    fn leave(&mut self) {
        match self.workers.leave() {
            Ok(()) => info!("draining all listeners"),
            Err(reason) => error!(?reason, "cannot drain"),
        }
        self.show();
    }
}
