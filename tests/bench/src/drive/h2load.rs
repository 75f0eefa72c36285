//! `h2load`, the load generator of nghttp2, and what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};

use super::Amount;
use crate::load::Report;
use crate::process::Placement;

/// A gRPC message of 16 bytes: not compressed, its length, a field (number 15).
const MESSAGE: &[u8] = b"\0\0\0\0\x10\x7a\x0eabcdefghijklmn";

/// A way to call it.
#[derive(Debug, Clone)]
pub(crate) struct H2load {
    target: SocketAddr,
    grpc: bool,
}

impl H2load {
    /// GETs of the small page.
    pub(crate) fn get(target: SocketAddr) -> Self {
        Self {
            target,
            grpc: false,
        }
    }

    /// gRPC calls.
    pub(crate) fn grpc(target: SocketAddr) -> Self {
        Self { target, grpc: true }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be run, or its output makes no sense.
    pub(crate) fn run(&self, amount: Amount, placement: Placement) -> anyhow::Result<Report> {
        let mut command = placement.command("h2load");
        command.args(["-c", "8", "-m", "16", "-w", "24", "-W", "24"]);
        match amount {
            Amount::Requests(count) => command.arg("-n").arg(count.to_string()),
            Amount::Seconds(seconds) => command.arg("-D").arg(seconds.to_string()),
        };
        let target = self.target;
        let message = tempfile::Builder::new().prefix("message-").tempdir()?;
        if self.grpc {
            command.arg("-d").arg(written(message.path())?);
            command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
            command.arg(format!("http://{target}/shop.Cart/Add"));
        } else {
            command.args([
                "-H",
                "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "-H",
                "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "-H",
                "accept-language: en-US,en;q=0.5",
                "-H",
                "accept-encoding: gzip, deflate, br",
                "-H",
                "cookie: session=0123456789abcdef0123456789abcdef",
            ]);
            command.arg(format!("http://{target}/128"));
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("h2load (of the package nghttp2-client)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "h2load: {errors}{text}");
        read(&text).with_context(|| format!("h2load said:\n{text}"))
    }
}

fn written(directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join("message");
    std::fs::write(&path, MESSAGE)?;
    Ok(path)
}

/// Reads its two lines that matter:
///
/// ```text
/// finished in 1.00s, 30000.00 req/s, 6.00MB/s
/// requests: 30128 total, 30128 started, 30000 done, 29990 succeeded, 10 failed, …
/// ```
fn read(text: &str) -> anyhow::Result<Report> {
    let time = line(text, "finished in ")?;
    let (time, _) = time.split_once(',').context("no comma")?;
    let unit = time.trim_start_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
    let number: f64 = time.trim_end_matches(unit).parse()?;
    let seconds = match unit {
        "s" => number,
        "ms" => number / 1e3,
        "us" => number / 1e6,
        _ => anyhow::bail!("{unit} is no unit of time"),
    };
    let counts = line(text, "requests: ")?;
    let count = |what: &str| -> anyhow::Result<u64> {
        let mut counts = counts.split(", ").filter_map(|part| part.split_once(' '));
        let found = counts.find(|(_, name)| *name == what);
        Ok(found.context("a count is missing")?.0.parse()?)
    };
    Ok(Report {
        requests: count("succeeded")?,
        errors: count("failed")? + count("errored")? + count("timeout")?,
        seconds,
        ..Report::default()
    })
}

fn line<'a>(text: &'a str, start: &str) -> anyhow::Result<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
    lines
        .next()
        .with_context(|| format!("no line with {start:?}"))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_two_lines_are_read() {
        let text = "spawning\nfinished in 500.50ms, 30000.00 req/s, 6.00MB/s\n\
            requests: 110 total, 110 started, 105 done, 100 succeeded, 5 failed, 3 errored, \
            2 timeout\nstatus codes: 100 2xx\n";
        let report = read(text).unwrap();
        assert_eq!((report.requests, report.errors), (100, 10));
        assert!((report.seconds - 0.5005).abs() < 1e-9);
        assert!(read("finished in 1.0s, \n").is_err());
    }
}
