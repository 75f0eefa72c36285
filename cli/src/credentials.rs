//! What shows a server who asks, and what shows us that it is the right one.

use std::path::{Path, PathBuf};

use clap::Args;
use evenkeel_shared::secret::SecretBytes;

use crate::failure::Failure;
use crate::private_file;

/// Largest token that is read, in bytes.
const MAX_TOKEN: usize = 4096;

/// The flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct CredentialArgs {
    // The environment is read later: a context on the command line wins over it.
    #[arg(
        long,
        value_name = "FILE",
        help = "Authorities that sign the server's certificate, in PEM [env: EVENKEEL_CA] \
                [default: the system's]"
    )]
    pub(crate) ca: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "Our certificate with its chain, in PEM [env: EVENKEEL_CERT]"
    )]
    pub(crate) cert: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "The private key of --cert, in PEM [env: EVENKEEL_KEY]"
    )]
    pub(crate) key: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "File that holds our token [env: EVENKEEL_TOKEN_FILE; EVENKEEL_TOKEN for the \
                token itself]"
    )]
    pub(crate) token_file: Option<PathBuf>,
    #[arg(
        long,
        value_name = "NAME",
        help = "Name that the server's certificate must carry [default: the host of the address]"
    )]
    pub(crate) server_name: Option<String>,
}

impl CredentialArgs {
    /// Whether nothing is given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and `other` for what is missing.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            ca: self.ca.or(other.ca),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            token_file: self.token_file.or(other.token_file),
            server_name: self.server_name.or(other.server_name),
        }
    }
}

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// In hand.
    Given(SecretBytes),
    /// In a file.
    File(PathBuf),
}

impl TokenSource {
    /// The token, without the line end after it.
    ///
    /// # Errors
    /// It cannot be read; it is empty, or cannot stand in a header.
    pub(crate) fn read(&self) -> Result<SecretBytes, Failure> {
        match self {
            Self::Given(token) => checked(token, "the token"),
            Self::File(path) => {
                let name = format!("the token in {}", path.display());
                checked(&private_file::read(path, MAX_TOKEN)?, &name)
            }
        }
    }
}

/// The token in `bytes` without the white space around it.
///
/// # Errors
/// It is empty, or cannot stand in a header.
pub(crate) fn checked(bytes: &SecretBytes, name: &str) -> Result<SecretBytes, Failure> {
    let token = bytes.expose().trim_ascii();
    let fault = if token.is_empty() {
        "is empty"
    } else if token.len() > MAX_TOKEN {
        "is longer than 4096 bytes"
    } else if token.iter().all(u8::is_ascii_graphic) {
        return Ok(SecretBytes::new(token.to_vec()));
    } else {
        "must be one line of visible ASCII characters"
    };
    Err(Failure::Usage(format!("{name} {fault}")))
}

/// Credentials of one origin. What stands in an earlier one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Authorities that sign the server's certificate.
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate.
    pub(crate) cert: Option<PathBuf>,
    /// Its private key.
    pub(crate) key: Option<PathBuf>,
    /// Our token.
    pub(crate) token: Option<TokenSource>,
    /// The name that the server's certificate must carry.
    pub(crate) server_name: Option<String>,
}

impl Credentials {
    /// These, and `other` for what is missing. A certificate and its key come
    /// from one origin.
    pub(crate) fn or(self, other: Self) -> Self {
        let (cert, key) = if self.cert.is_some() || self.key.is_some() {
            (self.cert, self.key)
        } else {
            (other.cert, other.key)
        };
        Self {
            ca: self.ca.or(other.ca),
            cert,
            key,
            token: self.token.or(other.token),
            server_name: self.server_name.or(other.server_name),
        }
    }

    /// Our certificate and its key.
    ///
    /// # Errors
    /// There is one without the other.
    pub(crate) fn pair(&self) -> Result<Option<(&Path, &Path)>, Failure> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::Usage(
                "--cert is given without --key: a certificate needs its private key".to_owned(),
            )),
            (None, Some(_)) => Err(Failure::Usage(
                "--key is given without --cert: a private key needs its certificate".to_owned(),
            )),
        }
    }
}

impl From<CredentialArgs> for Credentials {
    fn from(args: CredentialArgs) -> Self {
        Self {
            ca: args.ca,
            cert: args.cert,
            key: args.key,
            token: args.token_file.map(TokenSource::File),
            server_name: args.server_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(token: &str) -> TokenSource {
        TokenSource::Given(SecretBytes::new(token.as_bytes().to_vec()))
    }

    #[test]
    fn a_token_is_one_line_and_never_shown() {
        assert_eq!(given("ek_1\n").read().unwrap().expose(), b"ek_1");
        for bad in ["", " \n", "canary\nb", "canary\u{e9}"] {
            let failure = given(bad).read().unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{bad:?}");
            assert!(!failure.to_string().contains("canary"), "{failure}");
        }
        assert!(!format!("{:?}", given("canary")).contains("canary"));
    }

    #[test]
    fn a_certificate_and_its_key_come_from_one_origin() {
        let flags = Credentials {
            cert: Some("flag.crt".into()),
            ..Credentials::default()
        };
        let context = Credentials {
            ca: Some("ca.crt".into()),
            cert: Some("context.crt".into()),
            key: Some("context.key".into()),
            ..Credentials::default()
        };
        let both = flags.or(context.clone());
        assert_eq!(both.ca, context.ca);
        assert!(both.pair().unwrap_err().to_string().contains("--key"));
        assert!(context.pair().unwrap().is_some());
    }
}
