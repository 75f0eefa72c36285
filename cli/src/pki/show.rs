//! What stands in certificates.

use std::path::{Path, PathBuf};

use evenkeel_shared::tls::{Identity, Pair};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::private_file;
use crate::render::table::Columns;
use crate::render::{BOLD, Format, Terminal, json as proto_json, styled};

/// Largest PEM file that is read, in bytes.
const MAX_PEM: usize = 4 << 20;

/// One file.
struct Shown {
    path: PathBuf,
    certificates: Vec<Identity>,
    /// The key beside it, and whether it is that of the first certificate.
    key: Option<(PathBuf, bool)>,
}

/// Shows the certificates in files.
pub(super) fn run(
    files: &[PathBuf],
    output: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let shown: Result<Vec<_>, _> = files.iter().map(|path| read(path)).collect();
    let shown = shown?;
    let now = Timestamp::now();
    match output {
        Format::Json => terminal.json(&value(&shown, now))?,
        Format::Yaml => terminal.text(&proto_json::yaml(&value(&shown, now))?)?,
        Format::Name => {
            for identity in shown.iter().flat_map(|file| &file.certificates) {
                terminal.line(identity.label())?;
            }
        }
        Format::Table | Format::Wide => {
            for (index, file) in shown.iter().enumerate() {
                if index > 0 {
                    terminal.line("")?;
                }
                text(file, now, terminal)?;
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Shown, Failure> {
    let pem = private_file::read(path, MAX_PEM)?;
    let refused =
        |reason: &dyn std::fmt::Display| Failure::Failed(format!("{}: {reason}", path.display()));
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose()).collect();
    // Without the reader's words: the file may be a key.
    let ders = ders.map_err(|_| refused(&"it is not PEM, or is cut"))?;
    if ders.is_empty() {
        return Err(refused(&"there is no certificate in it"));
    }
    let certificates: Result<Vec<_>, _> = ders.iter().map(Identity::read).collect();
    let beside = path.with_extension("key");
    let key = if beside != path && beside.is_file() {
        let key = private_file::read(&beside, MAX_PEM)?;
        let fits = Pair::read(pem.expose(), key.expose()).is_ok();
        Some((beside, fits))
    } else {
        None
    };
    Ok(Shown {
        path: path.to_owned(),
        certificates: certificates.map_err(|fault| refused(&fault))?,
        key,
    })
}

fn at(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

fn state(identity: &Identity, now: Timestamp) -> String {
    let left = identity.not_after - now.as_second();
    if now.as_second() < identity.not_before {
        "not valid yet".to_owned()
    } else if left < 0 {
        "expired".to_owned()
    } else {
        format!("{} days left", left / 86_400)
    }
}

fn text(file: &Shown, now: Timestamp, terminal: &mut Terminal) -> Result<(), Failure> {
    terminal.line(styled(BOLD, file.path.display()))?;
    for identity in &file.certificates {
        let mut columns = Columns::new(&["", ""]);
        let facts = [
            ("  subject", identity.subject.clone()),
            ("  names", identity.names().join(", ")),
            ("  valid from", at(identity.not_before)),
            (
                "  valid until",
                format!("{} ({})", at(identity.not_after), state(identity, now)),
            ),
            ("  sha256", identity.fingerprint.clone()),
        ];
        for (name, fact) in facts {
            columns.row([name.to_owned(), fact]);
        }
        columns.print(terminal, false)?;
    }
    match &file.key {
        None => {}
        Some((path, true)) => terminal.line(format_args!("  key: {} fits", path.display()))?,
        Some((path, false)) => {
            terminal.line(format_args!("  key: {} does not fit", path.display()))?;
        }
    }
    Ok(())
}

fn value(files: &[Shown], now: Timestamp) -> Value {
    let certificates = |file: &Shown| -> Value {
        let all = file.certificates.iter().map(|identity| {
            json!({
                "subject": identity.subject,
                "uris": identity.uris,
                "dns": identity.dns,
                "addresses": identity.addresses,
                "notBefore": at(identity.not_before),
                "notAfter": at(identity.not_after),
                "valid": (identity.not_before..=identity.not_after).contains(&now.as_second()),
                "sha256": identity.fingerprint,
            })
        });
        all.collect()
    };
    let all = files.iter().map(|file| {
        let mut value = json!({
            "file": file.path.display().to_string(),
            "certificates": certificates(file),
        });
        if let Some((path, fits)) = &file.key {
            value["key"] = json!({ "file": path.display().to_string(), "fits": fits });
        }
        value
    });
    all.collect()
}
