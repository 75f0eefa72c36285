//! `evenkeel pki`: a small private authority, for those who have none.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::args::lifetime;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, Terminal};

mod authority;
mod batch;
mod files;
mod names;
mod show;

#[cfg(test)]
mod tests;

use self::authority::{Authority, Order};
use self::batch::Wanted;
use self::files::Place;

/// What is said of the limits, in the help and after making an authority.
const LIMITS: &str = "\
Limits: the authority's key lies unencrypted in its directory (keep it off the
machines that serve), nothing can be revoked (certificates are short-lived
instead), and nobody renews for you. It is meant for small set-ups; certificates
of any other authority work as well.";

/// Arguments of `pki`.
#[derive(Debug, Args)]
#[command(after_help = format!("{LIMITS}\n\n{EXAMPLES}"))]
pub(crate) struct PkiArgs {
    #[command(subcommand)]
    verb: PkiVerb,
}

const EXAMPLES: &str = "\
Examples:
  evenkeel pki init --dir pki
  evenkeel pki init --dir pki --if-absent --issue control-plane/cp,dns=cp.internal --issue group/edge
  evenkeel pki issue control-plane cp --dir pki --dns control.example.internal
  evenkeel pki issue proxy edge-1 --dir pki --group edge
  evenkeel pki issue server shop --dir pki --dns shop.example.com --lifetime 30d
  evenkeel pki issue proxy edge-1 --dir pki --group edge --replace
  evenkeel pki show pki/ca.crt pki/edge-1.crt";

impl PkiArgs {
    /// How to show the answer.
    pub(crate) fn format(&self) -> Format {
        match &self.verb {
            PkiVerb::Init(_) | PkiVerb::Issue(_) => Format::Table,
            PkiVerb::Show { output, .. } => *output,
        }
    }
}

#[derive(Debug, Subcommand)]
enum PkiVerb {
    /// Make an authority: `ca.crt` and `ca.key`.
    Init(InitArgs),
    /// Make a key, and a certificate for it: `NAME.crt` (with its chain) and
    /// `NAME.key`.
    Issue(IssueArgs),
    /// Show what stands in certificates, and whether the key beside fits.
    Show {
        /// Files with certificates in PEM.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// How to show them.
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Format,
    },
}

/// Arguments of `pki init`.
#[derive(Debug, Args)]
struct InitArgs {
    /// Directory of the authority; made if it is not there, for its owner only.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// First part of the names of proxies and people, `spiffe://DOMAIN/…`.
    #[arg(long, value_name = "DOMAIN", default_value = "evenkeel")]
    trust_domain: String,
    /// How long the authority holds.
    #[arg(long, value_name = "TIME", default_value = "10y", value_parser = lifetime)]
    lifetime: Duration,
    /// Keep an authority that is there, and certificates that hold; make again
    /// what has less than a third of its life left or other names.
    #[arg(long)]
    if_absent: bool,
    /// Certificate to make as well, as `pki issue` does; may be given several
    /// times.
    #[arg(long, value_name = "KIND/NAME[,dns=…][,ip=…][,group=…]")]
    issue: Vec<Wanted>,
    /// How long those certificates hold.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = lifetime)]
    issue_lifetime: Duration,
}

/// Arguments of `pki issue`.
#[derive(Debug, Args)]
struct IssueArgs {
    /// What the certificate is for.
    #[arg(value_name = "FOR")]
    purpose: Purpose,
    /// Whose it is: a node id, or the name of a person or server. Also the name
    /// of the files.
    name: String,
    /// Directory of the authority.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// DNS name to put in; may be given several times.
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// IP address to put in; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Group that the proxy belongs to; may be given several times.
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// How long the certificate holds; never longer than its authority.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = lifetime)]
    lifetime: Duration,
    /// Directory for the files [default: that of the authority]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that are there, to renew a certificate.
    #[arg(long)]
    replace: bool,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// A control plane: for localhost, 127.0.0.1, `::1` and the names given.
    ControlPlane,
    /// A proxy of this node id, in the groups given.
    Proxy,
    /// Every proxy of the group of this name, and of the groups given: proxies
    /// that come and go share it.
    Group,
    /// An administrator, by name.
    Admin,
    /// Somebody else who operates, by name.
    User,
    /// A listener or an endpoint, of the names given.
    Server,
}

/// Runs `pki`.
pub(crate) fn run(args: &PkiArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    match &args.verb {
        PkiVerb::Init(args) => init(args, terminal)?,
        PkiVerb::Issue(args) => issue(args, terminal, Timestamp::now())?,
        PkiVerb::Show { files, output } => show::run(files, *output, terminal)?,
    }
    Ok(Verdict::Good)
}

fn init(args: &InitArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let domain = names::trust_domain(&args.trust_domain)?;
    let ready = batch::check(&args.issue, args.issue_lifetime)?;
    let now = Timestamp::now();
    if args.if_absent && args.dir.join("ca.crt").exists() {
        let there = Authority::load(&args.dir, now)?;
        if there.trust_domain() != domain {
            return Err(Failure::Failed(format!(
                "--trust-domain `{domain}`: the authority in {} is that of `{}`",
                args.dir.display(),
                there.trust_domain()
            )));
        }
        terminal.note("ca is there and holds");
        return batch::issue(&args.dir, ready, terminal, now);
    }
    let made = Authority::make(domain, args.lifetime, now)?;
    files::private_directory(&args.dir)?;
    Place::new(&args.dir, "ca", false)?.write(&made)?;
    written(terminal, &args.dir, "ca")?;
    batch::issue(&args.dir, ready, terminal, now)?;
    terminal.note(format_args!("\n{LIMITS}"));
    Ok(())
}

fn issue(args: &IssueArgs, terminal: &mut Terminal, now: Timestamp) -> Result<(), Failure> {
    let names = names::of(args.purpose, args)?;
    let authority = Authority::load(&args.dir, now)?;
    let out = args.out.as_deref().unwrap_or(&args.dir);
    files::private_directory(out)?;
    let place = Place::new(out, &args.name, args.replace)?;
    let order = Order {
        name: &args.name,
        purpose: args.purpose,
        names,
        lifetime: args.lifetime,
    };
    let issued = authority.issue(order, now)?;
    place.write(&issued.files)?;
    written(terminal, out, &args.name)?;
    if issued.is_shortened {
        terminal.note(format_args!(
            "note: it holds until {} only, because its authority ends then",
            issued.until
        ));
    }
    Ok(())
}

fn written(terminal: &mut Terminal, directory: &Path, name: &str) -> Result<(), Failure> {
    for kind in ["crt", "key"] {
        let path = directory.join(format!("{name}.{kind}"));
        terminal.line(path.display())?;
    }
    Ok(())
}
