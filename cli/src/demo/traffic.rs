//! The customers: a steady stream of requests through all proxies, and what
//! became of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Customers of each proxy; each has one connection and waits for its answer.
const CUSTOMERS: u32 = 20;
/// Time from one request of a customer to its next: five a second each, three
/// hundred a second together.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Complaints that wait to be read; more are only counted.
const MAX_COMPLAINTS: usize = 64;

/// What a customer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see what there is.
    Catalogue,
    /// To see what is cheap today; limited.
    Offers,
    /// To see what was chosen.
    Cart,
    /// To buy.
    Order,
}

/// What a customer wants in turn.
pub(super) const WISHES: [Wish; 20] = {
    use Wish::{Cart, Catalogue, Offers, Order};
    [
        Catalogue, Cart, Catalogue, Order, Catalogue, Catalogue, Cart, Catalogue, Offers,
        Catalogue, Catalogue, Cart, Catalogue, Order, Catalogue, Cart, Catalogue, Catalogue, Cart,
        Catalogue,
    ]
};

impl Wish {
    /// The request for it.
    pub(super) fn request(self) -> (Method, &'static str) {
        match self {
            Self::Catalogue => (Method::GET, "/catalogue/items"),
            Self::Offers => (Method::GET, "/catalogue/offers"),
            Self::Cart => (Method::GET, "/cart/items"),
            Self::Order => (Method::POST, "/checkout/orders"),
        }
    }
}

/// What became of the requests so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Requests sent.
    pub(super) requests: u64,
    /// Requests that have been answered, well or not.
    pub(super) answered: u64,
    /// Answers 429 where a limit is set.
    pub(super) limited: u64,
    /// Safe requests that failed, which must not happen.
    pub(super) errors: u64,
    /// Orders placed.
    pub(super) orders: u64,
    /// Orders that failed and were not executed: they can be placed again.
    pub(super) orders_not_executed: u64,
    /// Orders that failed after they were executed.
    pub(super) orders_unanswered: u64,
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    answered: AtomicU64,
    limited: AtomicU64,
    errors: AtomicU64,
    orders: AtomicU64,
    orders_not_executed: AtomicU64,
    orders_unanswered: AtomicU64,
}

/// The customers at work.
#[derive(Debug)]
pub(super) struct Traffic {
    tally: Arc<Tally>,
    complaints: mpsc::Receiver<String>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where customers go.
#[derive(Debug, Clone)]
struct Shopping {
    door: SocketAddr,
    /// The instances that execute orders, asked only when an order failed.
    tills: Arc<[SocketAddr]>,
    tally: Arc<Tally>,
    complaints: mpsc::Sender<String>,
}

impl Traffic {
    /// Sends customers to these doors.
    pub(super) fn start(doors: &[SocketAddr], tills: Vec<SocketAddr>) -> Self {
        let tally = Arc::new(Tally::default());
        let tills: Arc<[SocketAddr]> = tills.into();
        let (sender, complaints) = mpsc::channel(MAX_COMPLAINTS);
        let traffic = Self {
            tally: Arc::clone(&tally),
            complaints,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for &door in doors {
            for number in 0..CUSTOMERS {
                let shopping = Shopping {
                    door,
                    tills: Arc::clone(&tills),
                    tally: Arc::clone(&tally),
                    complaints: sender.clone(),
                };
                let stop = traffic.stop.clone();
                traffic.tasks.spawn(shopping.go(number, stop));
            }
        }
        traffic
    }

    /// What became of the requests so far.
    pub(super) fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let tally = &self.tally;
        Totals {
            requests: read(&tally.requests),
            answered: read(&tally.answered),
            limited: read(&tally.limited),
            errors: read(&tally.errors),
            orders: read(&tally.orders),
            orders_not_executed: read(&tally.orders_not_executed),
            orders_unanswered: read(&tally.orders_unanswered),
        }
    }

    /// The next complaint, if there is one.
    pub(super) fn complaint(&mut self) -> Option<String> {
        self.complaints.try_recv().ok()
    }

    /// Sends no more requests, and waits for the answers to those under way.
    pub(super) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        // Customers have their own patience; this one only ends the demo.
        drop(timeout(PATIENCE, self.tasks.wait()).await);
    }
}

impl Shopping {
    async fn go(self, number: u32, stop: CancellationToken) {
        let mut line = Line::new(self.door);
        tokio::time::sleep(PAUSE / CUSTOMERS * number).await;
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = usize::try_from(number).unwrap_or(0);
        for wish in WISHES.iter().cycle().skip(start) {
            // Between two requests, so nothing is cut off.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.ask(&mut line, *wish).await;
        }
    }

    async fn ask(&self, line: &mut Line, wish: Wish) {
        let id = Uuid::new_v4().to_string();
        let (method, path) = wish.request();
        add(&self.tally.requests);
        let answer = timeout(PATIENCE, line.send(&method, path, &id)).await;
        add(&self.tally.answered);
        let wrong = match answer {
            Err(_) => format!("no answer within {PATIENCE:?}"),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok((status, _))) if status.is_success() => {
                if wish == Wish::Order {
                    add(&self.tally.orders);
                }
                return;
            }
            Ok(Ok((StatusCode::TOO_MANY_REQUESTS, _))) if wish == Wish::Offers => {
                add(&self.tally.limited);
                return;
            }
            Ok(Ok((status, body))) => format!("{status} {}", String::from_utf8_lossy(&body).trim()),
        };
        let verdict = if wish == Wish::Order {
            self.judge_order(&id).await
        } else {
            add(&self.tally.errors);
            "failed"
        };
        let complaint = format!("{method} {path} through {} {verdict}: {wrong}", self.door);
        // A full channel loses the words; the number is counted above.
        drop(self.complaints.try_send(complaint));
    }

    /// Asks the tills whether the order was executed all the same.
    async fn judge_order(&self, id: &str) -> &'static str {
        for till in self.tills.iter() {
            let path = format!("/executions/{id}");
            let answer = Line::new(*till).send(&Method::GET, &path, id).await;
            let executed = answer
                .ok()
                .and_then(|(_, body)| serde_json::from_slice::<Value>(&body).ok())
                .and_then(|body| body["executions"].as_u64());
            if executed.is_some_and(|executed| executed > 0) {
                add(&self.tally.orders_unanswered);
                return "failed after it was executed";
            }
        }
        add(&self.tally.orders_not_executed);
        "failed and was not executed"
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Why there is no answer.
pub(super) type Lost = Box<dyn std::error::Error + Send + Sync>;

/// One connection at a time to one address, opened when it is needed.
pub(super) struct Line {
    to: SocketAddr,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// A line that is not open yet.
    pub(super) fn new(to: SocketAddr) -> Self {
        Self { to, open: None }
    }

    /// Sends a request. If the other side had closed the connection before the
    /// request was sent, a fresh one is used.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        path: &str,
        id: &str,
    ) -> Result<(StatusCode, Bytes), Lost> {
        if let Some(mut sender) = self.open.take()
            && sender.ready().await.is_ok()
        {
            match exchange(&mut sender, method, path, id).await {
                Err(error) if was_not_sent(&error) => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.open = Some(sender);
                    return Ok(answer);
                }
            }
        }
        let mut sender = open(self.to).await?;
        let answer = exchange(&mut sender, method, path, id).await?;
        self.open = Some(sender);
        Ok(answer)
    }
}

/// Opens a connection.
pub(super) async fn open(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Lost> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with the connection; its errors come out of the exchange.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Sends a request over a connection, and reads the whole answer.
pub(super) async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &Method,
    path: &str,
    id: &str,
) -> Result<(StatusCode, Bytes), Lost> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "shop.example.com")
        .header("idempotency-key", id)
        .body(Full::default())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, body))
}

/// Whether a request is known not to have been sent.
pub(super) fn was_not_sent(error: &Lost) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_canceled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_customers_browse_and_some_order() {
        let share = |wish| WISHES.iter().filter(|one| **one == wish).count();
        assert_eq!(share(Wish::Catalogue), 12);
        assert_eq!(share(Wish::Cart), 5);
        assert_eq!(share(Wish::Order), 2);
        assert_eq!(share(Wish::Offers), 1);
    }
}
