//! Why TLS to an endpoint did not come about, in one word for metrics and logs
//! and in a sentence for people.

/// Why TLS to an endpoint did not come about. Nothing of a request was
/// processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFailure {
    /// The endpoint's certificate has expired.
    Expired,
    /// It is not valid yet.
    NotValidYet,
    /// Nobody whom the cluster trusts has signed it.
    UnknownIssuer,
    /// It carries none of the names that the cluster accepts.
    WrongName,
    /// It was revoked.
    Revoked,
    /// There was none.
    NoCertificate,
    /// It cannot be read or used.
    BadCertificate,
    /// The endpoint speaks no version that is allowed.
    Version,
    /// The endpoint has no cipher or group that is allowed.
    NoCommonCipher,
    /// The endpoint does not speak the cluster's version of HTTP.
    NoCommonProtocol,
    /// The endpoint refused our certificate, or asked for one in vain.
    CertificateRefused,
    /// The endpoint gave up for another reason.
    Alert,
    /// What came was not TLS.
    NotTls,
    /// The endpoint closed the connection.
    Closed,
    /// The time to connect was over.
    Timeout,
    /// The certificates that the cluster needs are not here.
    NotReady,
    /// Anything else.
    Other,
}

/// How many there are.
pub const TLS_FAILURES: usize = TABLE.len();

/// How a failure is called.
struct Words {
    failure: TlsFailure,
    label: &'static str,
    error: &'static str,
    text: &'static str,
}

/// Each failure once, in the order of the enum.
const TABLE: [Words; 17] = [
    Words {
        failure: TlsFailure::Expired,
        label: "expired",
        error: "tls_expired",
        text: "upstream TLS handshake failed: the certificate has expired",
    },
    Words {
        failure: TlsFailure::NotValidYet,
        label: "not_valid_yet",
        error: "tls_not_valid_yet",
        text: "upstream TLS handshake failed: the certificate is not valid yet",
    },
    Words {
        failure: TlsFailure::UnknownIssuer,
        label: "unknown_issuer",
        error: "tls_unknown_issuer",
        text: "upstream TLS handshake failed: nobody trusted has signed the certificate",
    },
    Words {
        failure: TlsFailure::WrongName,
        label: "wrong_name",
        error: "tls_wrong_name",
        text: "upstream TLS handshake failed: the certificate carries another name",
    },
    Words {
        failure: TlsFailure::Revoked,
        label: "revoked",
        error: "tls_revoked",
        text: "upstream TLS handshake failed: the certificate was revoked",
    },
    Words {
        failure: TlsFailure::NoCertificate,
        label: "no_certificate",
        error: "tls_no_certificate",
        text: "upstream TLS handshake failed: there was no certificate",
    },
    Words {
        failure: TlsFailure::BadCertificate,
        label: "bad_certificate",
        error: "tls_bad_certificate",
        text: "upstream TLS handshake failed: the certificate cannot be used",
    },
    Words {
        failure: TlsFailure::Version,
        label: "version",
        error: "tls_version",
        text: "upstream TLS handshake failed: no common version of TLS",
    },
    Words {
        failure: TlsFailure::NoCommonCipher,
        label: "no_common_cipher",
        error: "tls_no_common_cipher",
        text: "upstream TLS handshake failed: no common cipher",
    },
    Words {
        failure: TlsFailure::NoCommonProtocol,
        label: "no_common_protocol",
        error: "tls_no_common_protocol",
        text: "upstream TLS handshake failed: no common version of HTTP",
    },
    Words {
        failure: TlsFailure::CertificateRefused,
        label: "certificate_refused",
        error: "tls_certificate_refused",
        text: "upstream TLS handshake failed: upstream does not take our certificate, or wants one",
    },
    Words {
        failure: TlsFailure::Alert,
        label: "alert",
        error: "tls_alert",
        text: "upstream TLS handshake failed: upstream gave up",
    },
    Words {
        failure: TlsFailure::NotTls,
        label: "not_tls",
        error: "tls_not_tls",
        text: "upstream TLS handshake failed: upstream does not speak TLS",
    },
    Words {
        failure: TlsFailure::Closed,
        label: "closed",
        error: "tls_closed",
        text: "upstream TLS handshake failed: upstream closed the connection",
    },
    Words {
        failure: TlsFailure::Timeout,
        label: "timeout",
        error: "tls_timeout",
        text: "upstream TLS handshake failed: it took too long",
    },
    Words {
        failure: TlsFailure::NotReady,
        label: "not_ready",
        error: "tls_not_ready",
        text: "upstream TLS handshake failed: certificates of the cluster are missing",
    },
    Words {
        failure: TlsFailure::Other,
        label: "other",
        error: "tls_other",
        text: "upstream TLS handshake failed",
    },
];

impl TlsFailure {
    /// All of them, each at its [`place`](Self::place).
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|words| words.failure)
    }

    /// Its place among all of them.
    pub fn place(self) -> usize {
        self as usize
    }

    /// One word, without saying that it is about TLS.
    pub fn label(self) -> &'static str {
        TABLE[self.place()].label
    }

    /// One word that says that it is about TLS.
    pub fn error(self) -> &'static str {
        TABLE[self.place()].error
    }

    /// A sentence, for the client.
    pub fn text(self) -> &'static str {
        TABLE[self.place()].text
    }

    /// The one with this label; [`TlsFailure::Other`] if there is none.
    pub fn named(label: &str) -> Self {
        Self::all()
            .find(|failure| failure.label() == label)
            .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_words_of_its_own() {
        for (place, failure) in TlsFailure::all().enumerate() {
            assert_eq!(failure.place(), place);
            assert_eq!(TlsFailure::named(failure.label()), failure);
            assert_eq!(failure.error(), format!("tls_{}", failure.label()));
        }
        assert_eq!(TlsFailure::named("new"), TlsFailure::Other);
    }
}
