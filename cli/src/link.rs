//! Connections to servers: in the clear on this machine, over TLS elsewhere, and
//! with a token where one is given.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::context::Target;
use crate::credentials::{Credentials, TokenSource};
use crate::failure::Failure;

mod tls;

#[cfg(test)]
mod tests;

pub(crate) use self::tls::in_words;

/// Time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Where a token goes.
const AUTHORIZATION: &str = "authorization";

/// A connection that says who we are with every call.
pub(crate) type Link = InterceptedService<Channel, Bearer>;

/// Adds our token to calls, if we have one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn read(source: Option<&TokenSource>) -> Result<Self, Failure> {
        let Some(source) = source else {
            return Ok(Self::default());
        };
        let token = source.read()?;
        let header = Zeroizing::new([b"Bearer ", token.expose()].concat());
        let mut value = MetadataValue::try_from(header.as_slice())
            .map_err(|_| Failure::Usage("the token cannot stand in a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(value) = &self.0
            && !metadata.contains_key(AUTHORIZATION)
        {
            metadata.insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }
}

/// A connection without a token.
#[cfg(test)]
pub(crate) fn anonymous(channel: Channel) -> Link {
    InterceptedService::new(channel, Bearer::default())
}

/// Opens a connection.
///
/// # Errors
/// Credentials that cannot be read, or that would travel in the clear; nobody
/// answers; the server is not the one it should be.
pub(crate) async fn open(target: &Target) -> Result<Link, Failure> {
    let address = target.address.as_str();
    let endpoint = endpoint(address)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    let uri = endpoint.uri().clone();
    let connected = if is_encrypted(&uri) {
        let connector = tls::Connector::new(&uri, &target.credentials)?;
        let bearer = Bearer::read(target.credentials.token.as_ref())?;
        let connected = endpoint.connect_with_connector(connector).await;
        connected.map(|channel| InterceptedService::new(channel, bearer))
    } else {
        refuse_in_the_clear(&uri, &target.credentials)?;
        let bearer = Bearer::read(target.credentials.token.as_ref())?;
        let connected = endpoint.connect().await;
        connected.map(|channel| InterceptedService::new(channel, bearer))
    };
    connected.map_err(|error| match tls::refusal(&error) {
        Some(reason) => Failure::Handshake {
            address: address.to_owned(),
            reason,
        },
        None => Failure::Unreachable {
            address: address.to_owned(),
            reason: deepest(&error),
        },
    })
}

/// Where an address leads.
///
/// # Errors
/// Neither an `http://` nor an `https://` address.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, Failure> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|error| Failure::Usage(format!("`{address}` is not an address: {error}")))?;
    match endpoint.uri().scheme_str() {
        Some("http" | "https") => Ok(endpoint),
        _ => Err(Failure::Usage(format!(
            "`{address}`: must begin with http:// or https://"
        ))),
    }
}

fn is_encrypted(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// What is meant to protect a connection is in vain without TLS, and a token
/// would be there for everybody on the way. On this machine nobody is on the way.
fn refuse_in_the_clear(uri: &Uri, credentials: &Credentials) -> Result<(), Failure> {
    if is_here(uri) {
        return Ok(());
    }
    let refused = if credentials.token.is_some() {
        "a token is not sent over a connection that others can read"
    } else if credentials.ca.is_some() || credentials.cert.is_some() {
        "certificates (--ca, --cert) have no effect without TLS"
    } else {
        return Ok(());
    };
    let place = uri.authority().map_or("", |authority| authority.as_str());
    Err(Failure::Usage(format!(
        "`{uri}`: {refused}; write https://{place}, or give no credentials"
    )))
}

/// Whether an address is on this machine.
fn is_here(uri: &Uri) -> bool {
    let host = host(uri);
    host.parse::<IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost"),
        |address| address.is_loopback(),
    )
}

/// The host of an address, without brackets.
fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// The innermost cause, which says what the system said.
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
