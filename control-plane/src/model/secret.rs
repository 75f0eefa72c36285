//! `Secret`, checked. No fault holds anything of a text: what is wrong with it
//! is said in words of our own.

use evenkeel_shared::error::{Faults, Invalid};
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::data_source::Source as Given;
use evenkeel_shared::proto::v1::secret::Content;
use evenkeel_shared::secret::SecretBytes;
use evenkeel_shared::tls::{Pair, TlsFault, Trust};

use super::fields::within;
use crate::seal::{SEALED, is_redacted, is_sealed};

/// The longest text, in bytes: two of them fit into one message on a stream.
const TEXT_LIMIT: usize = 1 << 20;

const CHAIN: &str = "certificate.chain";
const KEY: &str = "certificate.privateKey";
const CERTIFICATES: &str = "trust.certificates";
const REVOCATIONS: &str = "trust.revocations";

const FORM: &str = "must be PEM, each section on lines of its own";
const SEALED_BY_HAND: &str = "is the form in which texts are stored: give the text itself";

/// A certificate with its key, or certificates to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A certificate with its key; both in files or both here.
    Certificate {
        /// The chain.
        chain: Source,
        /// The private key.
        key: Source,
    },
    /// Certificates to trust.
    Trust {
        /// The certificates.
        certificates: Source,
        /// Lists of revoked ones.
        revocations: Option<Source>,
    },
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on the proxy.
    File(String),
    /// Here, sealed.
    Sealed(String),
}

/// In which form texts stand in a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As users write them.
    Written,
    /// As they are stored.
    Stored,
}

/// What a secret holds, for those that refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    Certificate,
    Trust,
}

impl Holding {
    /// What `proto` holds, if that much is known.
    pub(super) fn of(proto: &v1::Secret) -> Option<Self> {
        proto.content.as_ref().map(|content| match content {
            Content::Certificate(_) => Self::Certificate,
            Content::Trust(_) => Self::Trust,
        })
    }

    /// The field that holds it, and what that is.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate with its key (`certificate`)",
            Self::Trust => "certificates to trust (`trust`)",
        }
    }
}

/// Reads a secret; in written form its texts as well.
pub(super) fn from_proto(proto: &v1::Secret, form: Form, faults: &mut Faults) -> Option<Secret> {
    let v1::Secret { content } = proto;
    let read = match content {
        None => {
            faults.add("", "required: one of `certificate` and `trust`");
            None
        }
        Some(Content::Certificate(pair)) => read_pair(pair, form, faults),
        Some(Content::Trust(bundle)) => read_trust(bundle, form, faults),
    };
    if form == Form::Written {
        let plain = |text: &str| {
            let is_readable = !is_redacted(text) && !text.starts_with(SEALED);
            is_readable.then(|| SecretBytes::new(text.as_bytes().to_vec()))
        };
        check_texts(proto, &plain, faults);
    }
    read
}

fn read_pair(pair: &v1::CertificatePair, form: Form, faults: &mut Faults) -> Option<Secret> {
    let v1::CertificatePair { chain, private_key } = pair;
    let chain = source(chain.as_ref(), form, CHAIN, faults);
    let key = source(private_key.as_ref(), form, KEY, faults);
    if let (Some(chain), Some(key)) = (&chain, &key)
        && matches!(chain, Source::File(_)) != matches!(key, Source::File(_))
    {
        faults.add(
            "certificate",
            "`chain` and `privateKey` must both be `file` or both be `inline`, so that they change together",
        );
    }
    Some(Secret::Certificate {
        chain: chain?,
        key: key?,
    })
}

fn read_trust(bundle: &v1::TrustBundle, form: Form, faults: &mut Faults) -> Option<Secret> {
    let v1::TrustBundle {
        certificates,
        revocations,
    } = bundle;
    let certificates = source(certificates.as_ref(), form, CERTIFICATES, faults);
    let revocations = match revocations {
        None => None,
        Some(given) => Some(source(Some(given), form, REVOCATIONS, faults)?),
    };
    Some(Secret::Trust {
        certificates: certificates?,
        revocations,
    })
}

fn source(
    given: Option<&v1::DataSource>,
    form: Form,
    path: &str,
    faults: &mut Faults,
) -> Option<Source> {
    let Some(given) = given.and_then(|given| given.source.as_ref()) else {
        faults.add(path, "required: one of `file` and `inline`");
        return None;
    };
    let text = match given {
        Given::File(file) => {
            let path = format!("{path}.file");
            absolute(file, &path, faults);
            return Some(Source::File(file.clone()));
        }
        Given::Inline(text) => text,
    };
    if let Some(reason) = wrong_form(text, form) {
        faults.add(format!("{path}.inline"), reason);
    }
    Some(Source::Sealed(match form {
        Form::Stored => text.clone(),
        Form::Written => String::new(),
    }))
}

/// What must not stand in a resource of this form.
fn wrong_form(text: &str, form: Form) -> Option<&'static str> {
    match form {
        Form::Stored if is_sealed(text) => None,
        Form::Stored if is_redacted(text) => {
            Some("is redacted, and is not what is stored here: give the text itself")
        }
        Form::Stored => Some("is not sealed"),
        Form::Written if text.starts_with(SEALED) => Some(SEALED_BY_HAND),
        Form::Written => None,
    }
}

fn absolute(file: &str, path: &str, faults: &mut Faults) {
    if !file.starts_with('/') || file.ends_with('/') || file.contains('\0') {
        faults.add(
            path,
            format!("invalid value {file:?}: must be the absolute path of a file on the proxy"),
        );
    }
}

/// What is wrong with the texts of a secret, as far as `open` gives them.
pub fn text_faults(proto: &v1::Secret, open: &dyn Fn(&str) -> Option<SecretBytes>) -> Vec<Invalid> {
    let mut faults = Faults::new();
    check_texts(proto, open, &mut faults);
    faults.into_vec()
}

fn check_texts(
    proto: &v1::Secret,
    open: &dyn Fn(&str) -> Option<SecretBytes>,
    faults: &mut Faults,
) {
    match &proto.content {
        None => {}
        Some(Content::Certificate(pair)) => {
            let chain = text(pair.chain.as_ref(), open, CHAIN, faults);
            let key = text(pair.private_key.as_ref(), open, KEY, faults);
            if let (Some(chain), Some(key)) = (chain, key)
                && let Err(fault) = Pair::read(chain.expose(), key.expose())
            {
                note(&fault, CHAIN, faults);
            }
        }
        Some(Content::Trust(bundle)) => {
            let certificates = text(bundle.certificates.as_ref(), open, CERTIFICATES, faults);
            let revocations = text(bundle.revocations.as_ref(), open, REVOCATIONS, faults);
            let revocations = revocations.as_ref().map(SecretBytes::expose);
            let read = certificates.map(|pem| Trust::read(pem.expose(), revocations));
            match read {
                Some(Ok(read)) if read.revocations.is_empty() && revocations.is_some() => {
                    note(
                        &TlsFault::BadRevocations(String::new()),
                        CERTIFICATES,
                        faults,
                    );
                }
                Some(Err(fault)) => note(&fault, CERTIFICATES, faults),
                Some(Ok(_)) | None => {}
            }
        }
    }
}

/// The text of a data source, if it has one that can be read and is not too
/// long.
fn text(
    given: Option<&v1::DataSource>,
    open: &dyn Fn(&str) -> Option<SecretBytes>,
    path: &str,
    faults: &mut Faults,
) -> Option<SecretBytes> {
    let Some(Given::Inline(text)) = given.and_then(|given| given.source.as_ref()) else {
        return None;
    };
    let opened = open(text)?;
    let reason = match opened.expose() {
        [] => "must not be empty".to_owned(),
        long if long.len() > TEXT_LIMIT => format!("must be at most {TEXT_LIMIT} bytes"),
        sealed if sealed.starts_with(SEALED.as_bytes()) => SEALED_BY_HAND.to_owned(),
        _ => return Some(opened),
    };
    within(faults, path, |faults| faults.add("inline", reason));
    None
}

/// Notes a fault in a text, or beside the text at `main`. What the reader of PEM
/// says can repeat lines of the text, so it is left out.
fn note(fault: &TlsFault, main: &str, faults: &mut Faults) {
    let (path, reason) = match fault {
        TlsFault::NotPem { .. } | TlsFault::Missing { .. } => {
            (main, format!("{FORM}, with at least one `CERTIFICATE`"))
        }
        TlsFault::BadKey | TlsFault::Mismatch => (KEY, fault.to_string()),
        TlsFault::BadRevocations(_) => (REVOCATIONS, format!("{FORM}, of kind `X509 CRL`")),
        TlsFault::BadCertificate(_)
        | TlsFault::BadAuthority { .. }
        | TlsFault::BadPattern { .. }
        | TlsFault::Settings(_) => (main, fault.to_string()),
    };
    faults.add(format!("{path}.inline"), reason);
}
