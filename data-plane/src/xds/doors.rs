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

    /// Ends all listeners, in the time that load balancers in front need to see
    /// it.
    fn leave(&mut self);
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
        self.served.clear();
        self.ports.leave();
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

    /// Whether a listener that could not be bound could be by now. Nothing is
    /// kept bound: what is accepted later is bound then.
    pub fn is_free(&mut self, listener: &ListenerName, address: SocketAddr) -> bool {
        let taken = |(name, served): (&ListenerName, &SocketAddr)| {
            name != listener && *served == address && address.port() != 0
        };
        !self.shut && !self.served.iter().any(taken) && self.ports.bind(listener, address).is_ok()
    }

    /// Serves what is in force, but for what is `unkept`: nobody comes to a closed
    /// door who could go elsewhere. Then closes the rest of what was served, because
    /// a listener may go on where another was. To be called after the swap.
    pub fn settle(&mut self, active: &Active, unkept: &[ListenerName]) {
        for (name, listener) in &active.listeners {
            if unkept.contains(name) {
                continue;
            }
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
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::xds::sample::listener;
    use crate::xds::state::{Accepted, ActiveListener, Value};

    /// Notes what is done; port 9 cannot be bound.
    #[derive(Debug, Default)]
    struct Notes(Vec<String>);

    impl Ports for Notes {
        type Bound = String;

        fn bind(&mut self, listener: &ListenerName, address: SocketAddr) -> io::Result<String> {
            if address.port() == 9 {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            Ok(format!("{listener}:{}", address.port()))
        }

        fn serve(&mut self, bound: String) {
            self.0.push(format!("serve {bound}"));
        }

        fn unbind(&mut self, listener: &ListenerName) {
            self.0.push(format!("unbind {listener}"));
        }

        fn leave(&mut self) {
            self.0.push("leave".to_owned());
        }
    }

    fn held(ports: &[(&str, u16)]) -> Held {
        let mut held = Held::default();
        for (name, port) in ports {
            let accepted = Accepted {
                version: Arc::default(),
                value: Value::Listener(Arc::new(listener(name, *port))),
                encoded: Arc::default(),
                ignored: Arc::default(),
            };
            held.insert(&Key::new(ResourceType::Listener, *name), accepted);
        }
        held
    }

    fn active(ports: &[(&str, u16)]) -> Active {
        let listeners = ports.iter().map(|(name, port)| {
            let active = ActiveListener {
                spec: Arc::new(listener(name, *port)),
                routes: None,
            };
            (ListenerName::new(*name), active)
        });
        Active {
            listeners: listeners.collect(),
            ..Active::default()
        }
    }

    #[test]
    fn a_listener_is_bound_when_accepted_and_served_when_in_force() {
        let mut doors = Doors::new(Notes::default());
        assert!(doors.prepare(&held(&[("edge", 1)])).is_empty());
        doors.settle(&Active::default(), &[]);
        assert!(doors.ports.0.is_empty());
        doors.settle(&active(&[("edge", 1)]), &[]);
        doors.settle(&active(&[("edge", 1)]), &[]);
        assert_eq!(doors.ports.0, ["serve edge:1"]);
    }

    #[test]
    fn a_listener_that_moves_serves_the_old_address_until_the_new_one_is_in_force() {
        let mut doors = Doors::new(Notes::default());
        doors.prepare(&held(&[("edge", 1)]));
        doors.settle(&active(&[("edge", 1)]), &[]);
        doors.prepare(&held(&[("edge", 2)]));
        doors.settle(&active(&[("edge", 1)]), &[]);
        assert_eq!(doors.ports.0, ["serve edge:1"]);
        doors.settle(&active(&[("edge", 2)]), &[]);
        doors.prepare(&held(&[]));
        doors.settle(&Active::default(), &[]);
        assert_eq!(doors.ports.0[1..], ["serve edge:2", "unbind edge"]);
    }

    #[test]
    fn where_a_listener_was_another_one_goes_on_without_a_gap() {
        let mut doors = Doors::new(Notes::default());
        doors.prepare(&held(&[("edge", 1)]));
        doors.settle(&active(&[("edge", 1)]), &[]);
        doors.prepare(&held(&[("web", 1)]));
        doors.settle(&active(&[("web", 1)]), &[]);
        assert_eq!(
            doors.ports.0,
            ["serve edge:1", "serve web:1", "unbind edge"]
        );
    }

    #[test]
    fn a_listener_without_its_secrets_is_bound_and_not_served() {
        let mut doors = Doors::new(Notes::default());
        let both = [("edge", 1), ("web", 2)];
        doors.prepare(&held(&both));
        doors.settle(&active(&both), &["web".into()]);
        assert_eq!(doors.ports.0, ["serve edge:1"]);
        doors.settle(&active(&both), &[]);
        assert_eq!(doors.ports.0, ["serve edge:1", "serve web:2"]);
    }

    #[test]
    fn what_cannot_be_bound_is_named() {
        let mut doors = Doors::new(Notes::default());
        let refused = doors.prepare(&held(&[("edge", 9), ("other", 1)]));
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0.to_string(), "Listener/edge");
        let reason = &refused[0].1[0].reason;
        assert_eq!(reason, "cannot bind 127.0.0.1:9: permission denied");
    }

    #[test]
    fn an_address_is_free_if_it_can_be_bound_and_no_other_listener_has_it() {
        let mut doors = Doors::new(Notes::default());
        doors.prepare(&held(&[("edge", 1)]));
        doors.settle(&active(&[("edge", 1)]), &[]);
        let other = ListenerName::new("other");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(doors.is_free(&other, address(2)));
        assert!(!doors.is_free(&other, address(1)));
        assert!(!doors.is_free(&other, address(9)));
        doors.shut();
        assert!(!doors.is_free(&other, address(2)));
    }

    #[test]
    fn after_shutting_nothing_opens_any_more() {
        let mut doors = Doors::new(Notes::default());
        doors.prepare(&held(&[("edge", 1)]));
        doors.settle(&active(&[("edge", 1)]), &[]);
        doors.shut();
        doors.prepare(&held(&[("other", 2)]));
        doors.settle(&active(&[("other", 2)]), &[]);
        assert_eq!(doors.ports.0, ["serve edge:1", "leave"]);
    }
}
