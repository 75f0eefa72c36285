//! `evenkeel status`: every proxy, what it has, and what it refused.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use evenkeel_shared::proto::v1::{ProxyStatus, StatusRequest, StatusResponse};
use jiff::Timestamp;

use crate::args::OutputArgs;
use crate::client::Client;
use crate::context::ServerArgs;
use crate::failure::{Failure, Verdict};
use crate::render::table::Columns;
use crate::render::{Format, RED, Terminal, YELLOW, json, one_line, styled, time};

/// Time in which every proxy reports once; they do it every second.
const NEXT_REPORT: Duration = Duration::from_millis(1100);
/// How long after a change reports may speak of the time before it.
const FRESH: Duration = Duration::from_secs(3);

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel status
  evenkeel status -o wide
  evenkeel status --check -o json")]
pub(crate) struct StatusArgs {
    /// Exit code 1 unless every connected proxy is ready and has the present
    /// revision.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs `status`.
pub(crate) async fn run(args: &StatusArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let mut client = Client::connect(&args.server).await?;
    let mut answer = ask(&mut client).await?;
    if answer
        .proxies
        .iter()
        .any(|proxy| is_doubtful(proxy, &answer, Timestamp::now()))
    {
        tokio::time::sleep(NEXT_REPORT).await;
        answer = ask(&mut client).await?;
    }
    match args.output.output {
        Format::Json => terminal.json(&json::value("StatusResponse", &answer)?)?,
        Format::Yaml => terminal.text(&json::yaml(&json::value("StatusResponse", &answer)?)?)?,
        Format::Name => {
            for proxy in &answer.proxies {
                terminal.line(format_args!("proxy/{}", proxy.id))?;
            }
        }
        format => {
            let wide = format == Format::Wide;
            let now = Timestamp::now();
            let text = text(&answer, wide, !args.output.no_headers, now);
            let warnings = warnings(&answer);
            if args.output.no_headers && !warnings.is_empty() {
                terminal.note(warnings.trim_end());
            }
            terminal.text(&text)?;
        }
    }
    let well = |proxy: &ProxyStatus| matches!(state(proxy), "synced" | "gone");
    if args.check && !answer.proxies.iter().all(well) {
        return Ok(Verdict::Bad);
    }
    Ok(Verdict::Good)
}

async fn ask(client: &mut Client) -> Result<StatusResponse, Failure> {
    let answer = client.api.status(StatusRequest {}).await;
    Ok(answer
        .map_err(|status| client.failure(&status))?
        .into_inner())
}

/// Whether the report of a proxy may be older than what it answered on its
/// configuration stream: it has accepted everything, only just, and the report
/// knows nothing of it yet.
fn is_doubtful(proxy: &ProxyStatus, answer: &StatusResponse, now: Timestamp) -> bool {
    let is_fresh =
        |time: Option<&prost_types::Timestamp>| time::is_near(now, time, FRESH.as_secs());
    proxy.connected
        && proxy.lag == 0
        && proxy.report.as_ref().is_some_and(|report| !report.ready)
        && (is_fresh(proxy.since.as_ref()) || is_fresh(answer.revision_time.as_ref()))
}

fn text(answer: &StatusResponse, wide: bool, headers: bool, now: Timestamp) -> String {
    let mut text = String::new();
    if headers {
        text.push_str(&warnings(answer));
        text.push_str(&headline(answer, now));
    }
    if answer.proxies.is_empty() {
        text.push_str("no proxy is connected\n");
        return text;
    }
    text.push_str(&table(&answer.proxies, wide, now).render(headers));
    let troubles: String = answer.proxies.iter().map(troubles).collect();
    if !troubles.is_empty() {
        text.push('\n');
        text.push_str(&troubles);
    }
    text
}

/// What is insecure about the control plane, above all else.
fn warnings(answer: &StatusResponse) -> String {
    let mut text = String::new();
    for warning in &answer.warnings {
        let label = styled(YELLOW, "warning");
        let _ = writeln!(text, "{label}: {}", one_line(warning));
    }
    text
}

fn headline(answer: &StatusResponse, now: Timestamp) -> String {
    let when = match &answer.revision_time {
        None => String::new(),
        Some(time) => format!(", committed {} ago", time::age(now, Some(time))),
    };
    let connected = || answer.proxies.iter().filter(|proxy| proxy.connected);
    let current = connected().filter(|proxy| proxy.lag == 0).count();
    format!(
        "revision {}{when}; {current} of {} connected proxies have it; control plane {} {}\n\n",
        answer.revision,
        connected().count(),
        answer.control_plane_id,
        answer.server_version
    )
}

fn table(proxies: &[ProxyStatus], wide: bool, now: Timestamp) -> Columns {
    let mut heading = vec![
        "PROXY", "CLUSTER", "STATE", "REVISION", "LAG", "SINCE", "REFUSED", "REQUESTS",
    ];
    if wide {
        heading.extend(["AGENT", "UPTIME", "ACTIVE", "ADMIN", "ADDRESS", "IDENTITY"]);
    }
    let mut columns = Columns::new(&heading);
    for proxy in proxies {
        let report = proxy.report.as_ref();
        let mut cells = vec![
            proxy.id.clone(),
            proxy.cluster.clone(),
            state(proxy).to_owned(),
            proxy.revision.to_string(),
            behind(proxy.lag),
            time::age(now, proxy.since.as_ref()),
            proxy.rejections.len().to_string(),
            report
                .map(|report| report.requests.to_string())
                .unwrap_or_default(),
        ];
        if wide {
            let of = |value: Option<String>| value.unwrap_or_default();
            cells.extend([
                proxy.agent.clone(),
                of(report.map(|report| time::span(report.uptime.as_ref()))),
                of(report.map(|report| report.active_requests.to_string())),
                of(report.map(|report| report.admin_address.clone())),
                proxy.address.clone(),
                proxy.identity.clone(),
            ]);
        }
        columns.row(cells);
    }
    columns
}

fn behind(revisions: u64) -> String {
    match revisions {
        0 => String::new(),
        1 => "1 revision".to_owned(),
        more => format!("{more} revisions"),
    }
}

fn state(proxy: &ProxyStatus) -> &'static str {
    let held = proxy
        .report
        .as_ref()
        .is_some_and(|report| !report.held.is_empty());
    let unready = proxy.report.as_ref().is_some_and(|report| !report.ready);
    match (proxy.connected, held) {
        (false, _) => "gone",
        (true, true) => "holding",
        (true, false) if !proxy.rejections.is_empty() => "refusing",
        (true, false) if unready => "not ready",
        (true, false) if proxy.lag > 0 => "behind",
        (true, false) => "synced",
    }
}

/// What a proxy holds back, refuses or cannot do, below the table.
fn troubles(proxy: &ProxyStatus) -> String {
    let mut text = String::new();
    if let Some(report) = &proxy.report
        && !report.held.is_empty()
    {
        let label = styled(YELLOW, "holds back");
        let _ = writeln!(text, "{} {label}: {}", proxy.id, one_line(&report.held));
    }
    let problems = proxy.report.iter().flat_map(|report| &report.problems);
    for problem in problems {
        let label = styled(YELLOW, "has a problem");
        let _ = writeln!(text, "{} {label}: {}", proxy.id, one_line(problem));
    }
    for one in &proxy.rejections {
        let label = styled(RED, "refuses");
        let _ = writeln!(
            text,
            "{} {label} {} {} (revision {}): {}",
            proxy.id,
            one.r#type,
            one.name,
            one.revision,
            one_line(&one.detail)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::proto::v1::{ProxyReport, Rejection};

    use super::*;

    fn proxy(id: &str) -> ProxyStatus {
        ProxyStatus {
            id: id.to_owned(),
            cluster: "edge".to_owned(),
            connected: true,
            revision: 12,
            since: Some(prost_types::Timestamp {
                seconds: 1000,
                nanos: 0,
            }),
            report: Some(ProxyReport {
                ready: true,
                requests: 4021,
                ..ProxyReport::default()
            }),
            ..ProxyStatus::default()
        }
    }

    fn shown(proxies: Vec<ProxyStatus>) -> String {
        let answer = StatusResponse {
            warnings: Vec::new(),
            revision: 12,
            revision_time: Some(prost_types::Timestamp {
                seconds: 1000,
                nanos: 0,
            }),
            server_version: "0.1.0".to_owned(),
            control_plane_id: "cp-1".to_owned(),
            proxies,
        };
        let now = Timestamp::from_second(1042).unwrap();
        anstream::adapter::strip_str(&text(&answer, false, true, now)).to_string()
    }

    #[test]
    fn a_fleet_is_one_line_each_and_its_troubles_below() {
        let mut refusing = proxy("edge-2");
        refusing.lag = 1;
        refusing.rejections.push(Rejection {
            proxy: "edge-2".to_owned(),
            r#type: "Listener".to_owned(),
            name: "web".to_owned(),
            detail: "address in use".to_owned(),
            revision: 12,
            ..Rejection::default()
        });
        insta::assert_snapshot!(shown(vec![proxy("edge-1"), refusing]), @r"
        revision 12, committed 42s ago; 1 of 2 connected proxies have it; control plane cp-1 0.1.0

        PROXY    CLUSTER   STATE      REVISION   LAG          SINCE   REFUSED   REQUESTS
        edge-1   edge      synced     12         -            42s     0         4021
        edge-2   edge      refusing   12         1 revision   42s     1         4021

        edge-2 refuses Listener web (revision 12): address in use
        ");
    }

    #[test]
    fn a_report_from_before_the_change_is_doubted_until_the_next_one() {
        let mut starting = proxy("edge-1");
        starting.report = Some(ProxyReport::default());
        let answer = StatusResponse::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_doubtful(&starting, &answer, at(1001)));
        assert!(!is_doubtful(&starting, &answer, at(1010)));
        starting.lag = 1;
        assert!(!is_doubtful(&starting, &answer, at(1001)));
        assert!(!is_doubtful(&proxy("edge-2"), &answer, at(1001)));
    }

    #[test]
    fn an_empty_fleet_says_so() {
        assert!(shown(Vec::new()).ends_with("no proxy is connected\n"));
    }

    #[test]
    fn the_worst_of_a_proxy_is_its_state() {
        let mut gone = proxy("edge-1");
        gone.connected = false;
        let mut behind = proxy("edge-2");
        behind.lag = 2;
        let mut holding = proxy("edge-3");
        holding.report = Some(ProxyReport {
            held: "would remove 9 of 10 clusters".to_owned(),
            ..ProxyReport::default()
        });
        let states = [&gone, &behind, &holding, &proxy("edge-4")].map(state);
        assert_eq!(states, ["gone", "behind", "holding", "synced"]);
    }

    #[test]
    fn what_is_insecure_stands_on_top_and_problems_below() {
        let mut edge = proxy("edge-1");
        edge.identity = "spiffe://evenkeel/proxy/edge-1".to_owned();
        edge.address = "10.0.0.7:4711".to_owned();
        if let Some(report) = &mut edge.report {
            report.problems = vec!["secret shop: /etc/shop.crt ends in 2 days".to_owned()];
        }
        let answer = StatusResponse {
            warnings: vec!["started with --insecure".to_owned()],
            proxies: vec![edge],
            ..StatusResponse::default()
        };
        let now = Timestamp::from_second(1042).unwrap();
        let shown = anstream::adapter::strip_str(&text(&answer, true, true, now)).to_string();
        assert!(
            shown.starts_with("warning: started with --insecure\nrevision 0"),
            "{shown}"
        );
        for part in [
            "10.0.0.7:4711   spiffe://evenkeel/proxy/edge-1",
            "\nedge-1 has a problem: secret shop: /etc/shop.crt ends in 2 days\n",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
