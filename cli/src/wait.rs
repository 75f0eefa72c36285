//! `evenkeel wait`, and the waiting of the verbs that change something.

use std::time::Duration;

use clap::Args;
use evenkeel_shared::proto::v1::{Rejection, WaitRequest, WaitResponse};
use tonic::Status;

use crate::args::duration;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::{Format, GREEN, Terminal, json, one_line, styled};

/// Arguments of `wait`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel wait
  evenkeel wait --revision 12 --timeout 2m")]
pub(crate) struct WaitVerbArgs {
    /// The revision to wait for [default: the present one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    revision: u64,
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Runs `wait`.
pub(crate) async fn run(args: &WaitVerbArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut client = Client::connect(&args.server).await?;
    let last = follow(&mut client, terminal, args.revision, args.timeout).await?;
    match args.output {
        Format::Json => terminal.json(&json::value("WaitResponse", &last)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value("WaitResponse", &last)?)?)?,
        Format::Table | Format::Wide | Format::Name => {}
    }
    Ok(Verdict::Good)
}

/// Follows a revision until every proxy that counts has accepted it. Standard
/// error gets a line that is rewritten, or, where nobody watches, the last one.
///
/// # Errors
/// A proxy refused it or went away; time ran out; the server is gone.
pub(crate) async fn follow(
    client: &mut Client,
    terminal: &mut Terminal,
    revision: u64,
    timeout: Duration,
) -> Result<WaitResponse, Failure> {
    let mut progress = Progress::new(revision);
    let watched = tokio::time::timeout(timeout, async {
        let request = WaitRequest { revision };
        let mut stream = client.api.wait(request).await?.into_inner();
        while let Some(response) = stream.message().await? {
            let done = response.done;
            progress.show(terminal, response);
            if done {
                break;
            }
        }
        Ok::<(), Status>(())
    });
    let ended = watched.await;
    progress.finish(terminal);
    match ended {
        Ok(Ok(())) => progress.verdict(),
        Ok(Err(status)) => Err(client.failure(&status)),
        Err(_) => Err(Failure::Failed(progress.late(timeout))),
    }
}

/// Follows a revision without a word.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn quietly(
    client: &mut Client,
    revision: u64,
    timeout: Duration,
) -> Result<(), Failure> {
    let mut nobody = Terminal::to_nobody();
    follow(client, &mut nobody, revision, timeout)
        .await
        .map(drop)
}

/// What was heard last, and what of it has been shown.
#[derive(Debug)]
struct Progress {
    revision: u64,
    last: WaitResponse,
    shown: String,
}

impl Progress {
    fn new(revision: u64) -> Self {
        Self {
            revision,
            last: WaitResponse::default(),
            shown: String::new(),
        }
    }

    fn name(&self) -> String {
        match self.revision {
            0 => "the present revision".to_owned(),
            revision => format!("revision {revision}"),
        }
    }

    /// Rewrites the line of somebody who watches.
    fn show(&mut self, terminal: &mut Terminal, response: WaitResponse) {
        self.last = response;
        let line = self.line();
        if terminal.rewrites() && line != self.shown {
            terminal.replace(&line);
            self.shown = line;
        }
    }

    fn line(&self) -> String {
        let (name, last) = (self.name(), &self.last);
        if last.total == 0 {
            return format!("{name}: no proxy was connected");
        }
        let accepted = last.accepted.len();
        let all = accepted == usize::try_from(last.total).unwrap_or(0);
        let word = styled(GREEN, "accepted");
        let mut line = match (last.done && all, accepted) {
            (true, 1) => format!("{name}: {word} by the one proxy"),
            (true, _) => format!("{name}: {word} by all {accepted} proxies"),
            (false, _) => format!("{name}: accepted by {accepted} of {} proxies", last.total),
        };
        if !last.pending.is_empty() {
            line.push_str("; waiting for ");
            line.push_str(&some(&last.pending));
        }
        line
    }

    /// Ends the line of somebody who watches. A log gets one line, and only of
    /// what went well: the failure says the rest.
    fn finish(&self, terminal: &mut Terminal) {
        if !self.shown.is_empty() {
            terminal.note("");
        } else if !terminal.rewrites() && self.verdict().is_ok() {
            terminal.note(self.line());
        }
    }

    fn verdict(&self) -> Result<WaitResponse, Failure> {
        let last = &self.last;
        let mut complaints: Vec<String> = last.rejections.iter().map(refusal).collect();
        if !last.disconnected.is_empty() {
            complaints.push(format!("{} disconnected", some(&last.disconnected)));
        }
        if complaints.is_empty() && last.done {
            return Ok(last.clone());
        }
        if complaints.is_empty() {
            complaints.push("the server ended the watch before all proxies answered".to_owned());
        }
        let gap = if complaints.len() == 1 { " " } else { "\n  " };
        Err(Failure::Failed(format!(
            "{} is not everywhere:{gap}{}",
            self.name(),
            complaints.join("\n  ")
        )))
    }

    fn late(&self, timeout: Duration) -> String {
        let waiting = if self.last.pending.is_empty() {
            "the server".to_owned()
        } else {
            some(&self.last.pending)
        };
        let name = self.name();
        format!("{name} is not everywhere after {timeout:?}: no answer from {waiting}")
    }
}

fn refusal(rejection: &Rejection) -> String {
    let what = match (rejection.r#type.as_str(), rejection.name.as_str()) {
        ("", "") => String::new(),
        (kind, "") => format!(" {kind}"),
        (kind, name) => format!(" {kind} {name}"),
    };
    format!(
        "{} refused{what}: {}",
        rejection.proxy,
        one_line(&rejection.detail)
    )
}

/// A few names; the rest is counted.
fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    match names.len() {
        0..=MOST => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::captured;

    fn heard(accepted: &[&str], pending: &[&str]) -> WaitResponse {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        WaitResponse {
            total: u32::try_from(accepted.len() + pending.len()).unwrap(),
            accepted: names(accepted),
            pending: names(pending),
            done: pending.is_empty(),
            ..WaitResponse::default()
        }
    }

    #[test]
    fn a_log_gets_one_line_when_all_is_done() {
        let (mut terminal, memory) = captured();
        let mut progress = Progress::new(12);
        progress.show(&mut terminal, heard(&["a"], &["b"]));
        progress.show(&mut terminal, heard(&["a", "b"], &[]));
        progress.finish(&mut terminal);
        assert_eq!(memory.err(), "revision 12: accepted by all 2 proxies\n");
        assert!(progress.verdict().is_ok());
    }

    #[test]
    fn a_log_gets_no_line_of_what_the_failure_says_better() {
        let (mut terminal, memory) = captured();
        let mut progress = Progress::new(12);
        progress.show(&mut terminal, heard(&["a"], &["b"]));
        progress.finish(&mut terminal);
        assert_eq!(memory.err(), "");
        assert_eq!(
            progress.late(Duration::from_secs(2)),
            "revision 12 is not everywhere after 2s: no answer from b"
        );
    }

    #[test]
    fn a_refusal_is_a_failure_in_the_words_of_the_proxy() {
        let mut progress = Progress::new(12);
        progress.last = heard(&["a"], &[]);
        progress.last.rejections.push(Rejection {
            proxy: "b".to_owned(),
            r#type: "Listener".to_owned(),
            name: "web".to_owned(),
            detail: "address in use".to_owned(),
            ..Rejection::default()
        });
        let failure = progress.verdict().unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.to_string(),
            "revision 12 is not everywhere: b refused Listener web: address in use"
        );
    }

    #[test]
    fn a_proxy_that_left_is_a_failure() {
        let mut progress = Progress::new(0);
        progress.last = heard(&["a"], &[]);
        progress.last.disconnected.push("b".to_owned());
        let failure = progress.verdict().unwrap_err();
        assert!(failure.to_string().contains("b disconnected"), "{failure}");
    }
}
