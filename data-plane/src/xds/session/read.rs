//! Reads the resources of a response, each on its own.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::Resource as Wrapper;
use envoy_types::pb::google::protobuf::Any;
use evenkeel_shared::error::Invalid;
use evenkeel_shared::secret::SecretBytes;
use evenkeel_shared::xds::{Decoded, Resource, ResourceType, decode};
use prost::Message;

use crate::tls::secrets::check_inline;
use crate::xds::state::Accepted;

/// Largest resource, in bytes.
pub(super) const MAX_RESOURCE_BYTES: usize = 64 * 1024 * 1024;

/// Longest name of a resource, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 2_048;

/// Type URL of the wrapper, which may also be inside an `Any`.
const WRAPPER_URL: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// A resource as far as it could be read.
pub(super) struct Read {
    /// Its name, if that much could be read; cut if it is too long.
    pub(super) name: Option<Arc<str>>,
    /// Its version; empty if there is none.
    pub(super) version: Arc<str>,
    /// The resource, `None` if the message has no body (a heartbeat), or what is
    /// wrong with it.
    pub(super) body: Result<Option<Accepted>, Vec<Invalid>>,
}

/// Reads one resource of a response of type `kind`.
pub(super) fn read(kind: ResourceType, wrapper: Wrapper) -> Read {
    let wrapper = match unwrapped(wrapper) {
        Ok(wrapper) => wrapper,
        Err(faulty) => return faulty,
    };
    let version: Arc<str> = wrapper.version.into();
    let told = (!wrapper.name.is_empty()).then_some(wrapper.name);
    let fail = |name: Option<String>, faults| Read {
        name: name.map(|name| cut(&name).into()),
        version: Arc::clone(&version),
        body: Err(faults),
    };
    if told
        .as_ref()
        .is_some_and(|name| name.len() > MAX_NAME_BYTES)
    {
        let rule = format!("must be at most {MAX_NAME_BYTES} bytes long");
        return fail(told, vec![Invalid::new("name", rule)]);
    }
    let Some(any) = wrapper.resource else {
        return Read {
            name: told.map(Into::into),
            version,
            body: Ok(None),
        };
    };
    if let Err(fault) = fits(kind, &any) {
        return fail(told, vec![fault]);
    }
    let decoded = decode(kind, &any.value);
    let encoded = keepable(kind, any.value);
    match decoded {
        Err(undecodable) => fail(told.or(undecodable.name), undecodable.faults),
        Ok(decoded) => match checked(told.as_deref(), &decoded) {
            Err(fault) => fail(told, vec![fault]),
            Ok(()) => Read {
                name: Some(decoded.resource.name().into()),
                version: Arc::clone(&version),
                body: Ok(Some(Accepted {
                    version,
                    encoded,
                    ignored: decoded.ignored.into(),
                    value: decoded.resource.into(),
                })),
            },
        },
    }
}

/// A name of a sane length.
pub(super) fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES.min(name.len()))]
}

/// Takes off a wrapper inside the wrapper.
fn unwrapped(mut outer: Wrapper) -> Result<Wrapper, Read> {
    let Some(any) = outer.resource.take_if(|any| any.type_url == WRAPPER_URL) else {
        return Ok(outer);
    };
    let inner = Wrapper::decode(any.value.as_slice()).map_err(|error| Read {
        name: (!outer.name.is_empty()).then(|| cut(&outer.name).into()),
        version: outer.version.as_str().into(),
        body: Err(vec![Invalid::new("", format!("not a message: {error}"))]),
    })?;
    if outer.name.is_empty() {
        outer.name = inner.name;
    }
    if outer.version.is_empty() {
        outer.version = inner.version;
    }
    outer.resource = inner.resource;
    Ok(outer)
}

/// Checks what can be checked before decoding.
fn fits(kind: ResourceType, any: &Any) -> Result<(), Invalid> {
    let size = any.value.len();
    if size > MAX_RESOURCE_BYTES {
        let rule = format!("is {size} bytes long: must be at most {MAX_RESOURCE_BYTES}");
        return Err(Invalid::new("", rule));
    }
    if any.type_url != kind.type_url() {
        let rule = format!(
            "is a {:?}: must be of the type of its response, {:?}",
            cut(&any.type_url),
            kind.type_url()
        );
        return Err(Invalid::new("", rule));
    }
    Ok(())
}

/// The message as it is kept. That of a secret is not, and is wiped.
fn keepable(kind: ResourceType, message: Vec<u8>) -> Arc<[u8]> {
    if kind == ResourceType::Secret {
        drop(SecretBytes::new(message));
        return Arc::default();
    }
    message.into()
}

/// Checks what the codec cannot.
fn checked(told: Option<&str>, decoded: &Decoded) -> Result<(), Invalid> {
    named_alike(told, decoded)?;
    match &decoded.resource {
        Resource::Secret(secret) => {
            check_inline(&secret.content).map_err(|reason| Invalid::new("", reason))
        }
        _ => Ok(()),
    }
}

/// A resource must be called what its wrapper calls it.
fn named_alike(told: Option<&str>, decoded: &Decoded) -> Result<(), Invalid> {
    let name = decoded.resource.name();
    match told {
        Some(told) if told != name => Err(Invalid::new(
            "name",
            format!("is {:?}: must be {told:?}, as its wrapper says", cut(name)),
        )),
        _ if name.len() > MAX_NAME_BYTES => Err(Invalid::new(
            "name",
            format!("must be at most {MAX_NAME_BYTES} bytes long"),
        )),
        _ => Ok(()),
    }
}
