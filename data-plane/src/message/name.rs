//! Names of fields that this proxy itself looks for. Each has a bit, so that it
//! costs nothing to ask for one that is not there.

/// A name that means something to this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// Any other name.
    Other,
    /// `authorization`
    Authorization,
    /// `connection`
    Connection,
    /// `content-length`
    ContentLength,
    /// `content-type`
    ContentType,
    /// `cookie`
    Cookie,
    /// `expect`
    Expect,
    /// `grpc-status`
    GrpcStatus,
    /// `host`
    Host,
    /// `keep-alive`
    KeepAlive,
    /// `proxy-authenticate`
    ProxyAuthenticate,
    /// `proxy-authorization`
    ProxyAuthorization,
    /// `proxy-connection`
    ProxyConnection,
    /// `te`
    Te,
    /// `traceparent`
    Traceparent,
    /// `tracestate`
    Tracestate,
    /// `transfer-encoding`
    TransferEncoding,
    /// `upgrade`
    Upgrade,
    /// `user-agent`
    UserAgent,
    /// `x-evenkeel-reason`
    Reason,
    /// `x-forwarded-client-cert`
    ForwardedClientCert,
    /// `x-forwarded-for`
    ForwardedFor,
    /// `x-forwarded-host`
    ForwardedHost,
    /// `x-forwarded-proto`
    ForwardedProto,
    /// Anything else that says where a request came from: `forwarded`,
    /// `x-real-ip`, and the rest of `x-forwarded-*`.
    ForwardedOther,
    /// What only looks like one of these, with `_` for `-`.
    ForwardedAlike,
    /// `x-request-id`
    RequestId,
}

/// A set of known names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Names(u32);

impl Names {
    /// What is meant for one connection only (RFC 9110, section 7.6.1).
    pub const HOP_BY_HOP: Self = Self::of(&[
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyAuthenticate,
        Known::ProxyAuthorization,
        Known::ProxyConnection,
        Known::Te,
        Known::TransferEncoding,
        Known::Upgrade,
    ]);

    /// What says where a request came from.
    pub const FORWARDING: Self = Self::of(&[
        Known::ForwardedClientCert,
        Known::ForwardedFor,
        Known::ForwardedHost,
        Known::ForwardedProto,
        Known::ForwardedOther,
        Known::ForwardedAlike,
    ]);

    /// The set of these names.
    pub const fn of(names: &[Known]) -> Self {
        let mut bits = 0;
        let mut rest = names;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// With one more name.
    #[must_use]
    pub const fn and(self, name: Known) -> Self {
        Self(self.0 | name.bit())
    }

    /// With the names of another set.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Without the names of another set.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether a name is in the set.
    pub const fn has(self, name: Known) -> bool {
        self.0 & name.bit() != 0
    }

    /// Whether the sets have a name in common.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl Known {
    const fn bit(self) -> u32 {
        1 << self as u8
    }

    /// How a field of this name begins, up to its value. Empty for those that
    /// stand for more than one name.
    pub(super) const fn beginning(self) -> &'static str {
        match self {
            Self::Other | Self::ForwardedOther | Self::ForwardedAlike => "",
            Self::Authorization => "authorization: ",
            Self::Connection => "connection: ",
            Self::ContentLength => "content-length: ",
            Self::ContentType => "content-type: ",
            Self::Cookie => "cookie: ",
            Self::Expect => "expect: ",
            Self::GrpcStatus => "grpc-status: ",
            Self::Host => "host: ",
            Self::KeepAlive => "keep-alive: ",
            Self::ProxyAuthenticate => "proxy-authenticate: ",
            Self::ProxyAuthorization => "proxy-authorization: ",
            Self::ProxyConnection => "proxy-connection: ",
            Self::Te => "te: ",
            Self::Traceparent => "traceparent: ",
            Self::Tracestate => "tracestate: ",
            Self::TransferEncoding => "transfer-encoding: ",
            Self::Upgrade => "upgrade: ",
            Self::UserAgent => "user-agent: ",
            Self::Reason => "x-evenkeel-reason: ",
            Self::ForwardedClientCert => "x-forwarded-client-cert: ",
            Self::ForwardedFor => "x-forwarded-for: ",
            Self::ForwardedHost => "x-forwarded-host: ",
            Self::ForwardedProto => "x-forwarded-proto: ",
            Self::RequestId => "x-request-id: ",
        }
    }

    /// Which one a name in lower case is. No two have length and first letter in
    /// common, so at most one is compared.
    pub fn of(name: &[u8]) -> Self {
        let first = name.first().copied().unwrap_or_default();
        let candidate: Option<(&[u8], Self)> = match (name.len(), first) {
            (2, b't') => Some((b"te", Self::Te)),
            (4, b'h') => Some((b"host", Self::Host)),
            (6, b'c') => Some((b"cookie", Self::Cookie)),
            (6, b'e') => Some((b"expect", Self::Expect)),
            (7, b'u') => Some((b"upgrade", Self::Upgrade)),
            (10, b'c') => Some((b"connection", Self::Connection)),
            (10, b'k') => Some((b"keep-alive", Self::KeepAlive)),
            (10, b't') => Some((b"tracestate", Self::Tracestate)),
            (10, b'u') => Some((b"user-agent", Self::UserAgent)),
            (11, b'g') => Some((b"grpc-status", Self::GrpcStatus)),
            (11, b't') => Some((b"traceparent", Self::Traceparent)),
            (12, b'c') => Some((b"content-type", Self::ContentType)),
            (12, b'x') => Some((b"x-request-id", Self::RequestId)),
            (13, b'a') => Some((b"authorization", Self::Authorization)),
            (14, b'c') => Some((b"content-length", Self::ContentLength)),
            (16, b'p') => Some((b"proxy-connection", Self::ProxyConnection)),
            (17, b't') => Some((b"transfer-encoding", Self::TransferEncoding)),
            (17, b'x') => Some((b"x-evenkeel-reason", Self::Reason)),
            (18, b'p') => Some((b"proxy-authenticate", Self::ProxyAuthenticate)),
            (19, b'p') => Some((b"proxy-authorization", Self::ProxyAuthorization)),
            _ => None,
        };
        if let Some((candidate, known)) = candidate
            && name == candidate
        {
            return known;
        }
        match first {
            b'f' | b'x' => forwarding(name),
            _ => Self::Other,
        }
    }
}

fn forwarding(name: &[u8]) -> Known {
    const PREFIX: &[u8] = b"x-forwarded-";
    const REAL_IP: &[u8] = b"x-real-ip";

    match name {
        b"forwarded" | b"x-real-ip" => Known::ForwardedOther,
        b"x-forwarded-for" => Known::ForwardedFor,
        b"x-forwarded-host" => Known::ForwardedHost,
        b"x-forwarded-proto" => Known::ForwardedProto,
        b"x-forwarded-client-cert" => Known::ForwardedClientCert,
        _ if begins_like(name, PREFIX) || is_like(name, REAL_IP) => {
            if name.contains(&b'_') {
                Known::ForwardedAlike
            } else {
                Known::ForwardedOther
            }
        }
        _ => Known::Other,
    }
}

fn is_like(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len() && begins_like(name, other)
}

/// Whether a name begins with another, or with what is the same to gateways that
/// make variables of fields (CGI, WSGI): to them `x_forwarded_for` is
/// `x-forwarded-for`.
fn begins_like(name: &[u8], beginning: &[u8]) -> bool {
    let alike = |(one, two): (&u8, &u8)| one == two || (*one == b'_' && *two == b'-');
    name.len() >= beginning.len() && name.iter().zip(beginning).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_all_their_letters() {
        assert_eq!(Known::of(b"host"), Known::Host);
        assert_eq!(Known::of(b"hosts"), Known::Other);
        assert_eq!(Known::of(b"hoss"), Known::Other);
        assert_eq!(Known::of(b"transfer-encoding"), Known::TransferEncoding);
        assert_eq!(Known::of(b"x-evenkeel-reason"), Known::Reason);
        assert_eq!(Known::of(b""), Known::Other);
    }

    #[test]
    fn what_says_where_a_request_came_from_is_known_in_all_its_spellings() {
        for (name, known) in [
            ("x-forwarded-for", Known::ForwardedFor),
            ("x-forwarded-port", Known::ForwardedOther),
            ("forwarded", Known::ForwardedOther),
            ("x-real-ip", Known::ForwardedOther),
            ("x_forwarded_for", Known::ForwardedAlike),
            ("x-forwarded_for", Known::ForwardedAlike),
            ("x_real_ip", Known::ForwardedAlike),
            ("x_real_ip_seen", Known::Other),
            ("x_forward", Known::Other),
            ("x-forwarded-client-cert", Known::ForwardedClientCert),
            ("x-forwarded-", Known::ForwardedOther),
            ("forwarded-for", Known::Other),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn sets_answer_for_their_members_only() {
        assert!(Names::HOP_BY_HOP.has(Known::Te));
        assert!(!Names::HOP_BY_HOP.has(Known::Host));
        assert!(!Names::HOP_BY_HOP.meets(Names::FORWARDING));
        assert!(
            !Names::HOP_BY_HOP
                .without(Names::of(&[Known::Te]))
                .has(Known::Te)
        );
        assert!(Names::default().and(Known::Te).meets(Names::HOP_BY_HOP));
    }
}
