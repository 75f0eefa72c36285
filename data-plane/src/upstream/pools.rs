//! All pools of one worker: one for each host, and for each way in which its
//! connections are made, so that a request never gets a connection that was made
//! otherwise than its cluster asks for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use rapidhash::fast::RandomState;

use crate::tick::Tick;
use crate::upstream::host::Host;
use crate::upstream::pool::{Ask, HostPool};
use crate::upstream::proxy_header::Origin;

/// What connections of one pool have in common, so that any of them will do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    host: u64,
    /// Where the TLS settings of the cluster are; 0 is in the clear. The pool
    /// sees to it that no other settings come to be there. Settings that are
    /// renewed stay where they are.
    tls: usize,
    origin: Option<Origin>,
}

/// The pools of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    hosts: RefCell<HashMap<Key, Rc<HostPool>, RandomState>>,
}

impl Pools {
    /// The pool of a host that may serve a request.
    pub(crate) fn of(&self, host: &Arc<Host>, ask: Ask<'_>) -> Rc<HostPool> {
        let tls = ask.cluster.tls.as_ref();
        let key = Key {
            host: host.id,
            tls: tls.map_or(0, |tls| Arc::as_ptr(tls).addr()),
            origin: ask.origin,
        };
        let mut hosts = self.hosts.borrow_mut();
        let pool = hosts
            .entry(key)
            .or_insert_with(|| Rc::new(HostPool::new(host, ask)));
        Rc::clone(pool)
    }

    /// Closes connections that have been idle for too long or whose host has
    /// left, and forgets pools without connections.
    pub(crate) fn sweep(&self, now: Tick) {
        self.hosts.borrow_mut().retain(|_, pool| {
            pool.sweep(now);
            // A request in progress still holds the pool it will return to.
            Rc::strong_count(pool) > 1 || !pool.is_empty()
        });
    }

    /// Closes idle connections that requests of other workers wait for.
    pub(crate) fn give_up(&self) {
        for pool in self.hosts.borrow().values() {
            pool.give_up();
        }
    }
}
