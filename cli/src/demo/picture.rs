//! The live picture of the demo: who gets how much, who is out, and what
//! customers notice. Only text; where it goes is decided elsewhere.

use std::fmt::Write;
use std::time::Duration;

use super::plot::short;
use super::traffic::Totals;
use super::watcher::{Seen, View};
use crate::render::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, styled};

/// Width of the bar of a share that is the whole.
const BAR: usize = 20;
/// News that are kept on the picture, so that all of it fits 24 lines.
const NEWS: usize = 5;

/// Everything that is on the picture.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// Time since the beginning.
    pub(super) now: Duration,
    /// Where the plot is.
    pub(super) title: &'a str,
    /// The instances.
    pub(super) seen: &'a [Seen],
    /// What customers did.
    pub(super) totals: Totals,
    /// What happened, oldest first.
    pub(super) news: &'a [String],
}

/// Draws the picture.
pub(super) fn draw(scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let clock = short(scene.now);
    let title = styled(BOLD, scene.title);
    let _ = writeln!(text, "{clock:>7}  {title}\n");
    let heading = format!(
        "{:<14}{:>7}  {:<26}{:>9}  STATE",
        "INSTANCE", "REQ/S", "SHARE", "FAILURES"
    );
    let _ = writeln!(text, "{}", styled(DIM, heading));
    let mut cluster = "";
    for one in scene.seen {
        if !cluster.is_empty() && cluster != one.instance.cluster {
            text.push('\n');
        }
        cluster = one.instance.cluster;
        let _ = writeln!(text, "{}", line(one));
    }
    text.push('\n');
    text.push_str(&customers(scene));
    text.push('\n');
    let skipped = scene.news.len().saturating_sub(NEWS);
    for line in scene.news.iter().skip(skipped) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn line(one: &Seen) -> String {
    format!(
        "{:<14}{:>7.1}  {} {:>3.0} % {:>9}  {}{}",
        one.instance.name,
        one.rate,
        bar(one.share),
        one.share * 100.0,
        one.failures,
        state(&one.views),
        note(&one.instance.note),
    )
}

fn note(note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        styled(DIM, format_args!("  ({note})"))
    }
}

/// A bar of constant width.
fn bar(share: f64) -> String {
    let filled = (0..BAR)
        .filter(|step| {
            let middle = f64::from(u16::try_from(*step).unwrap_or(0)) + 0.5;
            share * f64::from(u16::try_from(BAR).unwrap_or(1)) >= middle
        })
        .count();
    let (full, rest) = ("█".repeat(filled), "·".repeat(BAR - filled));
    format!("{}{}", styled(CYAN, full), styled(DIM, rest))
}

/// How the proxies see an instance, together.
fn state(views: &[View]) -> String {
    let out: Vec<&View> = views.iter().filter(|view| !view.healthy).collect();
    let Some(first) = out.first() else {
        return if views.is_empty() {
            styled(YELLOW, "unknown")
        } else {
            styled(GREEN, "healthy")
        };
    };
    let longest = out.iter().filter_map(|view| view.back_in).max();
    let until = match longest {
        Some(time) => format!(", {} left", short(time)),
        None => String::new(),
    };
    let by = if out.len() == views.len() {
        String::new()
    } else {
        format!(" by {} of {}", out.len(), views.len())
    };
    let reason = if first.reason.is_empty() {
        "unhealthy"
    } else {
        first.reason.as_str()
    };
    styled(RED, format_args!("{reason}{by}{until}"))
}

fn customers(scene: &Scene<'_>) -> String {
    let totals = scene.totals;
    let errors = format!("{} errors", totals.errors);
    let errors = styled(if totals.errors == 0 { GREEN } else { RED }, errors);
    format!(
        "customers     {} requests, {errors}, {} retries behind the scenes, {} rate-limited\n\
         orders        {} placed, {} to be placed again, {} executed but unanswered\n",
        totals.requests,
        retries(scene.seen, totals),
        totals.limited,
        totals.orders,
        totals.orders_not_executed,
        totals.orders_unanswered,
    )
}

/// Attempts that the proxies made on top of the requests they were asked. A
/// request under way may count as sent and not as attempted yet, so this is
/// rather too low than too high.
pub(super) fn retries(seen: &[Seen], totals: Totals) -> u64 {
    let attempts: u64 = seen.iter().map(|one| one.attempts).sum();
    attempts.saturating_sub(totals.requests.saturating_sub(totals.limited))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::shop::Instance;
    use super::*;

    fn view(healthy: bool, back_in: Option<u64>) -> View {
        View {
            proxy: "a".to_owned(),
            healthy,
            reason: if healthy {
                ""
            } else {
                "ejected: consecutive_5xx"
            }
            .to_owned(),
            back_in: back_in.map(Duration::from_millis),
        }
    }

    fn seen(name: &'static str, rate: f64, share: f64, views: Vec<View>) -> Seen {
        Seen {
            instance: Instance {
                cluster: "catalogue",
                name,
                address: SocketAddr::from(([127, 0, 0, 1], 1)),
                note: String::new(),
            },
            attempts: 100,
            failures: 5,
            rate,
            share,
            views,
        }
    }

    #[test]
    fn a_picture_shows_shares_states_and_what_customers_notice() {
        let instances = [
            seen(
                "catalogue-1",
                0.0,
                0.0,
                vec![view(false, Some(2400)), view(true, None)],
            ),
            seen("catalogue-2", 90.0, 0.75, vec![view(true, None)]),
        ];
        let scene = Scene {
            now: Duration::from_millis(4200),
            title: "catalogue-1 has crashed",
            seen: &instances,
            totals: Totals {
                requests: 193,
                answered: 190,
                limited: 3,
                orders: 12,
                ..Totals::default()
            },
            news: &["  3.0 s  catalogue-1 crashes".to_owned()],
        };
        let shown = anstream::adapter::strip_str(&draw(&scene)).to_string();
        insta::assert_snapshot!(shown, @r"
          4.2 s  catalogue-1 has crashed

        INSTANCE        REQ/S  SHARE                      FAILURES  STATE
        catalogue-1       0.0  ····················   0 %         5  ejected: consecutive_5xx by 1 of 2, 2.4 s left
        catalogue-2      90.0  ███████████████·····  75 %         5  healthy

        customers     193 requests, 0 errors, 10 retries behind the scenes, 3 rate-limited
        orders        12 placed, 0 to be placed again, 0 executed but unanswered

          3.0 s  catalogue-1 crashes
        ");
    }

    #[test]
    fn attempts_beyond_the_requests_are_retries() {
        let instances = [seen("catalogue-1", 0.0, 0.0, Vec::new())];
        let totals = Totals {
            requests: 95,
            limited: 5,
            ..Totals::default()
        };
        assert_eq!(retries(&instances, totals), 10);
    }
}
