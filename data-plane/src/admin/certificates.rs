//! Certificates as text and JSON. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use crate::tls::shown::{Certificate, Overview, Shown};

/// A place that certificates come from, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    name: String,
    source: Option<String>,
    trusted: bool,
    certificates: Vec<Certificate>,
    error: Option<String>,
}

impl From<&Shown> for Place {
    fn from(from: &Shown) -> Self {
        Self {
            name: from.place.to_string(),
            source: from.source.clone(),
            trusted: from.trusted,
            certificates: certificates(from),
            error: from.error.as_deref().map(str::to_owned),
        }
    }
}

/// The certificates in use of a place.
pub(super) fn certificates(shown: &Shown) -> Vec<Certificate> {
    shown.certificates.iter().map(Certificate::from).collect()
}

/// All places.
pub(super) fn all(shown: &Overview) -> Vec<Place> {
    shown.places.iter().map(Place::from).collect()
}

/// The same, a line for each certificate.
pub(super) fn text(shown: &Overview) -> String {
    let mut text = String::new();
    for place in all(shown) {
        let source = place.source.as_deref().unwrap_or("nowhere");
        // Writing into a String does not fail.
        let _ = writeln!(text, "{} from {source}", place.name);
        for certificate in &place.certificates {
            let _ = writeln!(text, "  {certificate}");
        }
        if let Some(error) = &place.error {
            let _ = writeln!(text, "  refused: {error}");
        }
    }
    for (who, reason) in &shown.refusing {
        let _ = writeln!(text, "{who} refuses every handshake: {reason}");
    }
    text
}
