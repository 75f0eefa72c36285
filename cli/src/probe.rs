//! `evenkeel probe`: a health check for containers that have no shell and no
//! curl.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::uri::InvalidUri;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::args::duration;
use crate::context::with_scheme;
use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

/// Most of the answer that is read, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Arguments of `probe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code: 0 the answer is 2xx, 1 anything else.

Examples:
  evenkeel probe http://127.0.0.1:9901/ready
  evenkeel probe --timeout 500ms http://127.0.0.1:18080/healthz")]
pub(crate) struct ProbeArgs {
    /// What to ask; `http://` may be left out.
    #[arg(value_name = "URL", value_parser = url)]
    url: Uri,
    /// How long it may take.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    timeout: Duration,
    /// Say nothing.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `probe`.
pub(crate) async fn run(args: &ProbeArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let asked = tokio::time::timeout(args.timeout, ask(&args.url)).await;
    let (answer, verdict) = match asked {
        Err(_) => (format!("no answer within {:?}", args.timeout), Verdict::Bad),
        Ok(Err(error)) => (error.to_string(), Verdict::Bad),
        Ok(Ok((status, body))) if status.is_success() => (said(status, &body), Verdict::Good),
        Ok(Ok((status, body))) => (said(status, &body), Verdict::Bad),
    };
    if !args.quiet {
        terminal.note(format_args!("{}: {answer}", args.url));
    }
    Ok(verdict)
}

fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = with_scheme(text)
        .parse()
        .map_err(|error: InvalidUri| error.to_string())?;
    if url.scheme_str() == Some("http") && url.host().is_some() {
        Ok(url)
    } else {
        Err("only http:// is supported".to_owned())
    }
}

fn said(status: StatusCode, body: &Bytes) -> String {
    let body = String::from_utf8_lossy(body);
    let first = body.lines().next().unwrap_or_default().trim();
    format!("{status} {first}").trim_end().to_owned()
}

async fn ask(url: &Uri) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(http::header::HOST, format!("{host}:{port}"))
        .header(http::header::USER_AGENT, "evenkeel-probe")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        Ok((status, body))
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    // Dropping either is safe: nothing of them is used again.
    tokio::select! {
        biased; // the answer first: with `Connection: close` both end at once
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::render::testing::captured;

    async fn probed(answer: &'static str) -> (Verdict, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            drop(stream.read(&mut request).await);
            drop(stream.write_all(answer.as_bytes()).await);
        };
        let args = ProbeArgs {
            url: format!("http://{address}/ready").parse().unwrap(),
            timeout: Duration::from_secs(5),
            quiet: false,
        };
        let (mut terminal, memory) = captured();
        let (verdict, ()) = tokio::join!(run(&args, &mut terminal), server);
        (verdict.unwrap(), memory.err())
    }

    #[tokio::test]
    async fn success_is_exit_code_0() {
        let (verdict, said) = probed("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nLIVE").await;
        assert_eq!(verdict, Verdict::Good);
        assert!(said.ends_with("/ready: 200 OK LIVE\n"), "{said}");
    }

    #[test]
    fn an_address_may_leave_out_what_it_can_only_be() {
        assert_eq!(
            url("127.0.0.1:9901/ready").unwrap(),
            "http://127.0.0.1:9901/ready"
        );
        assert!(url("https://127.0.0.1/").is_err());
        assert!(url("http://").is_err());
    }

    #[tokio::test]
    async fn any_other_answer_is_exit_code_1() {
        let (verdict, _) = probed("HTTP/1.1 503 Busy\r\nconnection: close\r\n\r\nwait").await;
        assert_eq!(verdict, Verdict::Bad);
        let (verdict, _) = probed("").await;
        assert_eq!(verdict, Verdict::Bad);
    }
}
