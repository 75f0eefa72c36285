//! From Envoy's messages, sent by any control plane, to the intermediate
//! representation. Every message is taken apart completely, so that a field
//! which Envoy adds must be judged before this compiles again.

mod address;
mod assignment;
mod cluster;
mod findings;
mod listener;
mod route;
mod secret;
mod text;
mod tls;
mod transport;
mod values;

use prost::Message;

use super::{Decoded, Resource, Undecodable};
use crate::error::Invalid;
use crate::proto::v1;
use findings::Findings;

pub(super) use assignment::assignment;
pub(super) use cluster::cluster;
pub(super) use listener::listener;
pub(super) use route::route_table;
pub(super) use secret::secret;

/// Reads one message: `name` finds its name for the report, `read` checks it,
/// `wrap` makes it a resource.
pub(super) fn resource<M: Message + Default, T>(
    value: &[u8],
    name: fn(&M) -> &String,
    read: fn(M, &mut Findings) -> Option<T>,
    wrap: fn(T) -> Resource,
) -> Result<Decoded, Undecodable> {
    let message = M::decode(value).map_err(|error| malformed(&error))?;
    let name = Some(name(&message).clone()).filter(|name| !name.is_empty());
    let mut findings = Findings::default();
    let part = read(message, &mut findings);
    match (part, findings.into_parts()) {
        (Some(part), (faults, ignored)) if faults.is_empty() => Ok(Decoded {
            resource: wrap(part),
            ignored,
        }),
        (_, (faults, _)) => Err(Undecodable { name, faults }),
    }
}

/// Reads our own message, which holds one number.
pub(super) fn removal_grant(value: &[u8]) -> Result<Decoded, Undecodable> {
    let v1::RemovalGrant { revision } =
        v1::RemovalGrant::decode(value).map_err(|error| malformed(&error))?;
    Ok(Decoded {
        resource: Resource::RemovalGrant { revision },
        ignored: Vec::new(),
    })
}

fn malformed(error: &prost::DecodeError) -> Undecodable {
    Undecodable {
        name: None,
        faults: vec![Invalid::new("", format!("cannot be read: {error}"))],
    }
}
