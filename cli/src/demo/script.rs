//! Plays the plot on the stage, and tells of it: as a live picture where
//! somebody watches, as lines otherwise.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::picture::{self, Scene};
use super::plot::{Cue, Plot, short};
use super::shop::VICTIM;
use super::stage::{Stage, interrupted};
use super::traffic::{Line, Totals, Traffic};
use super::watcher::{Seen, Watcher};
use crate::failure::{Failure, Verdict};
use crate::render::{BOLD, GREEN, RED, Terminal, styled};

/// Time between two looks at the proxies.
const LOOK: Duration = Duration::from_millis(250);
/// Most lines of news that are kept.
const MAX_NEWS: usize = 200;
/// Looks that may fail in a row before the demo is given up.
const BLIND: u32 = 20;
/// Most complaints that are repeated in the summary.
const MAX_COMPLAINTS: usize = 5;

/// Plays until the plot is over (`once`), or until the audience leaves.
pub(super) async fn play(
    stage: &mut Stage,
    once: bool,
    terminal: &mut Terminal,
) -> Result<Verdict, Failure> {
    let live = !once && terminal.is_live();
    let mut show = Show::new(stage, live);
    terminal.text(&stage.preface())?;
    terminal.line("")?;
    terminal.flush()?;
    let ended = tokio::select! {
        ended = show.run(stage, once, terminal) => ended,
        () = interrupted() => Ok(()),
    };
    show.close_picture(terminal)?;
    show.traffic.finish().await;
    ended?;
    let twice = executed_twice(stage).await;
    show.look(stage).await?;
    show.summary(once, twice, terminal)
}

/// The performance.
struct Show {
    plot: Plot,
    traffic: Traffic,
    watcher: Watcher,
    seen: Vec<Seen>,
    news: Vec<String>,
    complaints: Vec<String>,
    /// Whether a picture is drawn, and over how many lines the last one went.
    live: bool,
    drawn: usize,
}

impl Show {
    fn new(stage: &Stage, live: bool) -> Self {
        let tills = stage
            .shop
            .instances
            .iter()
            .filter(|instance| instance.cluster == "checkout")
            .map(|instance| instance.address)
            .collect();
        Self {
            plot: Plot::new(stage.now(), stage.doors.len()),
            traffic: Traffic::start(&stage.doors, tills),
            watcher: Watcher::new(stage.client.clone(), stage.shop.instances.clone()),
            seen: Vec::new(),
            news: Vec::new(),
            complaints: Vec::new(),
            live,
            drawn: 0,
        }
    }

    async fn run(
        &mut self,
        stage: &mut Stage,
        once: bool,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut blind = 0;
        loop {
            ticks.tick().await;
            stage.check()?;
            blind = match self.look(stage).await {
                Ok(()) => 0,
                Err(failure) if blind >= BLIND => return Err(failure),
                Err(_) => blind + 1,
            };
            let cue = self.step(stage.now());
            self.tell(stage.now(), terminal)?;
            match cue {
                Some(Cue::Crash) => stage.shop.crash().await?,
                Some(Cue::Restore) => stage.shop.restore().await?,
                Some(Cue::End) if once => return Ok(()),
                Some(Cue::End) | None => {}
            }
        }
    }

    async fn look(&mut self, stage: &Stage) -> Result<(), Failure> {
        self.seen = self.watcher.look(stage.now()).await?;
        Ok(())
    }

    fn step(&mut self, now: Duration) -> Option<Cue> {
        let victim = self.seen.iter().find(|one| one.instance.name == VICTIM)?;
        self.plot.step(now, &victim.views, victim.attempts)
    }

    /// Tells what is new.
    fn tell(&mut self, now: Duration, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut fresh = self.plot.news();
        while let Some(complaint) = self.traffic.complaint() {
            if self.complaints.len() < MAX_COMPLAINTS {
                self.complaints.push(complaint.clone());
            }
            fresh.push(complaint);
        }
        for line in fresh {
            let line = format!("{:>7}  {line}", short(now));
            if !self.live {
                terminal.line(&line)?;
                terminal.flush()?;
            }
            self.news.push(line);
        }
        let spare = self.news.len().saturating_sub(MAX_NEWS);
        self.news.drain(..spare);
        if self.live {
            self.draw(now, terminal)?;
        }
        Ok(())
    }

    /// Draws the picture over the last one. Lines are cut at the edge, so that
    /// the number of lines is known.
    fn draw(&mut self, now: Duration, terminal: &mut Terminal) -> Result<(), Failure> {
        let picture = picture::draw(&Scene {
            now,
            title: self.plot.title(),
            seen: &self.seen,
            totals: self.traffic.totals(),
            news: &self.news,
        });
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}F"),
        };
        self.drawn = picture.lines().count();
        let picture = picture.replace('\n', "\x1b[K\n");
        terminal.frame(&format!("\x1b[?7l{up}{picture}\x1b[J\x1b[?7h"))?;
        Ok(())
    }

    fn close_picture(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        if self.live && self.drawn > 0 {
            terminal.line("")?;
        }
        self.live = false;
        Ok(())
    }

    /// What there is to say at the end.
    fn summary(
        &self,
        once: bool,
        twice: Option<u64>,
        terminal: &mut Terminal,
    ) -> Result<Verdict, Failure> {
        let totals = self.traffic.totals();
        let ejection = self.plot.ejection();
        let recovery = self.plot.recovery();
        terminal.line(styled(BOLD, "\nSummary"))?;
        for (name, fact) in facts(totals, picture::retries(&self.seen, totals), twice) {
            terminal.line(format_args!("  {name:<12} {fact}"))?;
        }
        let shown = |time: Option<Duration>, text: &str| {
            time.map_or("not seen".to_owned(), |time| {
                format!("{}{text}", short(time))
            })
        };
        let out = shown(ejection, " after the crash, by all proxies");
        let back = shown(recovery, " after the return, by all proxies");
        terminal.line(format_args!("  {:<12} {out}", "ejection"))?;
        terminal.line(format_args!("  {:<12} {back}", "recovery"))?;
        let mut faults = self.plot.faults().to_vec();
        if totals.errors > 0 {
            faults.push(format!(
                "{} requests failed that need not have",
                totals.errors
            ));
            faults.extend(self.complaints.iter().cloned());
        }
        match twice {
            Some(0) => {}
            Some(count) => faults.push(format!("{count} orders were executed twice")),
            None => faults.push("the checkout did not tell what it executed".to_owned()),
        }
        if once && faults.is_empty() && (ejection.is_none() || recovery.is_none()) {
            faults.push("the script did not come to its end".to_owned());
        }
        if faults.is_empty() {
            terminal.line(styled(GREEN, "No customer noticed anything."))?;
            return Ok(Verdict::Good);
        }
        for fault in &faults {
            terminal.line(format_args!("  {} {fault}", styled(RED, "✗")))?;
        }
        Ok(Verdict::Bad)
    }
}

fn facts(totals: Totals, retries: u64, twice: Option<u64>) -> [(&'static str, String); 4] {
    let twice = twice.map_or("an unknown number".to_owned(), |count| count.to_string());
    [
        (
            "requests",
            format!("{}, of which {} failed", totals.requests, totals.errors),
        ),
        (
            "orders",
            format!(
                "{} placed, {} failed without being executed, {} after it, {twice} executed twice",
                totals.orders, totals.orders_not_executed, totals.orders_unanswered
            ),
        ),
        (
            "rate limit",
            format!("{} answered with 429", totals.limited),
        ),
        ("retries", format!("{retries} by the proxies")),
    ]
}

/// How many orders were executed twice, asked of the instances themselves.
/// `None` if one does not tell.
async fn executed_twice(stage: &Stage) -> Option<u64> {
    let mut sum = 0;
    for instance in &stage.shop.instances {
        if instance.cluster == "checkout" {
            let mut line = Line::new(instance.address);
            let (_, body) = line.send(&Method::GET, "/stats", "stats").await.ok()?;
            let body: Value = serde_json::from_slice(&body).ok()?;
            sum += body["executedTwice"].as_u64()?;
        }
    }
    Some(sum)
}
