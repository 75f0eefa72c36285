//! Opens and closes listeners as the configuration says. A listener is bound as
//! soon as it is accepted, so that an address that cannot be bound is refused
//! with the listener; it is served once it is in force.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::xds::ResourceType;

use crate::xds::state::{Active, Held, Key};

/// What sockets are made of.
pub trait Ports: std::fmt::Debug + Send + 'static {
    /// A bound address that is not served yet; dropping it lets it go.
    type Bound: std::fmt::Debug + Send;

    /// Binds an address for a listener.
    ///
    /// # Errors
    /// In the operating system's words.
    fn bind(&mut self, listener: &ListenerName, address: SocketAddr) -> io::Result<Self::Bound>;

    /// Begins to accept; a listener of the same name is drained.
    fn serve(&mut self, bound: Self::Bound);

    /// Stops to accept and lets the connections of the listener end.
    fn unbind(&mut self, listener: &ListenerName);
}

/// The listeners' sockets.
#[derive(Debug)]
pub struct Doors<P: Ports> {
    ports: P,
    bound: BTreeMap<ListenerName, (SocketAddr, P::Bound)>,
    served: BTreeMap<ListenerName, SocketAddr>,
    shut: bool,
}

impl<P: Ports> Doors<P> {
    /// None open.
    pub fn new(ports: P) -> Self {
        Self {
            ports,
            bound: BTreeMap::new(),
            served: BTreeMap::new(),
            shut: false,
        }
    }

    /// Closes all, and opens none any more.
    pub fn shut(&mut self) {
        self.shut = true;
        self.bound.clear();
        for name in std::mem::take(&mut self.served).into_keys() {
            self.ports.unbind(&name);
        }
    }

    /// Binds what is accepted and not bound yet, and lets go what is bound, not
    /// served, and not accepted any more. Returns the listeners that cannot be
    /// bound.
    pub fn prepare(&mut self, held: &Held) -> Vec<(Key, Vec<Invalid>)> {
        let wanted: BTreeMap<&ListenerName, SocketAddr> = held
            .listeners()
            .map(|listener| (&listener.name, listener.address))
            .collect();
        self.bound
            .retain(|name, (address, _)| wanted.get(name) == Some(address));
        let mut refused = Vec::new();
        if self.shut {
            return refused;
        }
        for (name, address) in wanted {
            if self.served.get(name) == Some(&address) || self.bound.contains_key(name) {
                continue;
            }
            match self.ports.bind(name, address) {
                Ok(bound) => {
                    self.bound.insert(name.clone(), (address, bound));
                }
                Err(error) => {
                    let fault = Invalid::new("address", format!("cannot bind {address}: {error}"));
                    let key = Key::new(ResourceType::Listener, name.as_str());
                    refused.push((key, vec![fault]));
                }
            }
        }
        refused
    }

    /// Serves what is in force, and closes the rest of what was served. To be
    /// called after the swap.
    pub fn settle(&mut self, active: &Active) {
        let gone: Vec<ListenerName> = self
            .served
            .keys()
            .filter(|name| !active.listeners.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.served.remove(&name);
            self.ports.unbind(&name);
        }
        for (name, listener) in &active.listeners {
            let address = listener.spec.address;
            let bound = self.bound.get(name).filter(|(bound, _)| *bound == address);
            if bound.is_none() {
                continue;
            }
            let Some((_, bound)) = self.bound.remove(name) else {
                continue;
            };
            self.served.insert(name.clone(), address);
            self.ports.serve(bound);
        }
    }
}
