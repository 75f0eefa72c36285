//! The authority: makes itself, and signs.

use std::path::Path;
use std::time::Duration;

use evenkeel_shared::tls::{Identity, Pair};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use zeroize::Zeroizing;

use super::Purpose;
use super::files::Files;
use super::names::Names;
use crate::failure::Failure;
use crate::private_file;

/// Certificates are valid from this long ago, for machines whose clock is behind.
const BACKDATED: i64 = 300;
/// No certificate holds longer than until the year 9999, in seconds since 1970.
const END_OF_TIME: i64 = 253_402_300_799;
/// Largest PEM file that is read, in bytes.
const MAX_PEM: usize = 1 << 20;
/// What comes before a trust domain.
const SPIFFE: &str = "spiffe://";

/// An authority that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    trust_domain: String,
    /// Until when it holds, in seconds since 1970.
    until: i64,
}

/// What is wanted.
pub(super) struct Order<'o> {
    pub(super) name: &'o str,
    pub(super) purpose: Purpose,
    pub(super) names: Names,
    pub(super) lifetime: Duration,
}

/// A certificate.
pub(super) struct Issued {
    pub(super) files: Files,
    /// Until when it holds.
    pub(super) until: Timestamp,
    /// Whether that is earlier than wanted.
    pub(super) is_shortened: bool,
}

impl Authority {
    /// Makes a new one for a trust domain.
    ///
    /// # Errors
    /// It would hold for more than time goes on; the library refuses.
    pub(super) fn make(
        trust_domain: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Files, Failure> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Evenkeel authority of {trust_domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("{SPIFFE}{trust_domain}"))?];
        let until = end(now, lifetime).min(END_OF_TIME);
        hold(&mut params, now, until);
        let key = KeyPair::generate().map_err(|error| refused(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| refused(&error))?;
        Ok(Files {
            chain: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Reads the one in a directory.
    ///
    /// # Errors
    /// There is none; it does not hold any more; it was not made here.
    pub(super) fn load(directory: &Path, now: Timestamp) -> Result<Self, Failure> {
        let (chain, secret) = (directory.join("ca.crt"), directory.join("ca.key"));
        if !chain.exists() {
            let place = directory.display();
            return Err(Failure::Failed(format!(
                "there is no authority in {place}: make one with `evenkeel pki init --dir {place}`"
            )));
        }
        let unusable = |reason: &dyn std::fmt::Display| {
            Failure::Failed(format!(
                "the authority in {} cannot be used: {reason}",
                directory.display()
            ))
        };
        let pem = private_file::read(&chain, MAX_PEM)?;
        let key = private_file::read(&secret, MAX_PEM)?;
        let pair = Pair::read(pem.expose(), key.expose()).map_err(|fault| unusable(&fault))?;
        let Identity {
            uris, not_after, ..
        } = pair.identity;
        let domain = uris.iter().find_map(|uri| uri.strip_prefix(SPIFFE));
        let domain = domain.ok_or_else(|| {
            unusable(&"its certificate has no name spiffe://DOMAIN; was it made by `pki init`?")
        })?;
        if not_after <= now.as_second() {
            return Err(unusable(&format!("it ended at {}", at(not_after))));
        }
        let not_text = |_| unusable(&"it is not text");
        let pem = std::str::from_utf8(pem.expose()).map_err(not_text)?;
        let key = std::str::from_utf8(key.expose()).map_err(not_text)?;
        let key = KeyPair::from_pem(key).map_err(|error| unusable(&error))?;
        let issuer = Issuer::from_ca_cert_pem(pem, key).map_err(|error| unusable(&error))?;
        Ok(Self {
            issuer,
            pem: pem.to_owned(),
            trust_domain: domain.to_owned(),
            until: not_after,
        })
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// First part of the names that it gives.
    pub(super) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Makes a key and signs a certificate for it.
    ///
    /// # Errors
    /// The library refuses.
    pub(super) fn issue(&self, order: Order<'_>, now: Timestamp) -> Result<Issued, Failure> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(order.name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match order.purpose {
            Purpose::ControlPlane | Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Proxy | Purpose::Group | Purpose::Admin | Purpose::User => {
                ExtendedKeyUsagePurpose::ClientAuth
            }
        }];
        params.subject_alt_names = order.names.hosts;
        for path in order.names.paths {
            let name = format!("{SPIFFE}{}/{path}", self.trust_domain);
            params.subject_alt_names.push(uri(&name)?);
        }
        let wanted = end(now, order.lifetime);
        let until = wanted.min(self.until);
        hold(&mut params, now, until);
        let key = KeyPair::generate().map_err(|error| refused(&error))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|error| refused(&error))?;
        Ok(Issued {
            files: Files {
                chain: format!("{}{}", certificate.pem(), self.pem),
                key: Zeroizing::new(key.serialize_pem()),
            },
            until: at(until),
            is_shortened: until < wanted,
        })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn uri(name: &str) -> Result<SanType, Failure> {
    name.try_into()
        .map(SanType::URI)
        .map_err(|error| refused(&error))
}

/// When something that begins now ends, in seconds since 1970.
fn end(now: Timestamp, lifetime: Duration) -> i64 {
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    now.as_second().saturating_add(lifetime)
}

/// Sets from and until when a certificate holds.
fn hold(params: &mut CertificateParams, now: Timestamp, until: i64) {
    let epoch = date_time_ymd(1970, 1, 1);
    let after = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    params.not_before = epoch + after(now.as_second() - BACKDATED);
    params.not_after = epoch + after(until.min(END_OF_TIME));
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn refused(error: &rcgen::Error) -> Failure {
    Failure::Failed(format!("the certificate cannot be made: {error}"))
}
