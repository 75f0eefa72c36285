//! `evenkeel demo client`: the shop's customers as a process of their own. They
//! come through several proxies, and keep book of the fate of every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::books::{Books, Fate};
use self::doors::{Doors, Visit};
use super::pages;
use super::traffic::{WISHES, Wish};
use crate::args::duration;
use crate::failure::{Failure, Verdict};
use crate::render::Terminal;

mod books;
mod doors;

/// How long those who are interrupted may wait for their answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Arguments of `demo client`.
#[derive(Debug, Args)]
#[command(after_help = "\
A name that has several addresses stands for all of them. A customer whose
proxy does not take the connection tries the next one; a request that was sent
is never sent again, so that what a proxy loses shows.

Exit code: 0 nothing was lost, 1 otherwise.

Examples:
  evenkeel demo client --to 127.0.0.1:8081 --to 127.0.0.1:8082 --for 30s
  evenkeel demo client --to proxy:8080 --listen 0.0.0.0:8090")]
pub(crate) struct ClientArgs {
    /// Proxy to go through; may be given several times.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    to: Vec<String>,
    /// Address to tell the books on: `/stats` and `/healthz`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How many customers there are; each waits for its answer.
    #[arg(long, value_name = "N", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    customers: u32,
    /// Time from one request of a customer to its next.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pause: Duration,
    /// How long a customer waits for an answer.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    patience: Duration,
    /// How long they come; until it is interrupted if not given.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    length: Option<Duration>,
}

/// Runs `demo client`.
pub(crate) async fn run(args: &ClientArgs, terminal: &mut Terminal) -> Result<Verdict, Failure> {
    let doors = Arc::new(Doors::new(&args.to)?);
    let books = Arc::new(Books::new());
    if let Some(address) = args.listen {
        let listener = pages::listen(address).await?;
        let told = listener.local_addr()?;
        terminal.note(format_args!("the books are on http://{told}/stats"));
        let books = Arc::clone(&books);
        tokio::spawn(pages::serve(listener, move |uri| match uri.path() {
            "/stats" => pages::json(StatusCode::OK, &books.json()),
            "/healthz" => pages::json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            _ => pages::json(
                StatusCode::NOT_FOUND,
                &serde_json::json!({ "pages": ["/stats", "/healthz"] }),
            ),
        }));
    }
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    for number in 0..args.customers {
        let customer = Customer {
            number,
            pause: args.pause,
            patience: args.patience,
            books: Arc::clone(&books),
            visit: Visit::new(Arc::clone(&doors), number),
        };
        let late = args
            .pause
            .mul_f64(f64::from(number) / f64::from(args.customers));
        tasks.spawn(customer.go(late, stop.clone()));
    }
    tokio::select! {
        told = tell(&books, terminal) => told?,
        () = over(args.length) => {}
        () = super::stage::interrupted() => {}
    }
    stop.cancel();
    tasks.close();
    // Who is still under way then stands in the books as such.
    drop(timeout(LAST_ANSWERS.min(args.patience), tasks.wait()).await);
    terminal.text(&books.summary())?;
    Ok(if books.lost() == 0 {
        Verdict::Good
    } else {
        Verdict::Bad
    })
}

/// Prints a line each second.
async fn tell(books: &Books, terminal: &mut Terminal) -> Result<(), Failure> {
    let began = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        terminal.line(books.line(began.elapsed()))?;
        terminal.flush()?;
    }
}

async fn over(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

/// One customer, who wants one thing at a time.
struct Customer {
    number: u32,
    pause: Duration,
    patience: Duration,
    books: Arc<Books>,
    visit: Visit,
}

impl Customer {
    async fn go(mut self, late: Duration, stop: CancellationToken) {
        tokio::time::sleep(late).await;
        let mut ticks = interval(self.pause.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = usize::try_from(self.number).unwrap_or(0) % WISHES.len();
        for wish in WISHES.iter().cycle().skip(start) {
            // Between two requests, so nothing is cut off.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.ask(*wish).await;
        }
    }

    async fn ask(&mut self, wish: Wish) {
        let id = Uuid::new_v4().to_string();
        let (method, path) = wish.request();
        self.books.begun();
        let asked = timeout(self.patience, self.visit.send(&method, path, &id)).await;
        let fate = match asked {
            Err(_) => {
                self.visit.leave();
                Fate::TimedOut
            }
            Ok(fate) => fate,
        };
        self.books.ended(wish, fate, &self.visit.took());
    }
}
