//! The proxies as a customer sees them: names that may stand for several
//! addresses, and doors that may be closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;

use super::super::traffic::{exchange, open, was_not_sent};
use super::books::Fate;
use crate::failure::Failure;

/// How long a proxy may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long the answer to a name may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
/// Most addresses that are used.
const MAX_ADDRESSES: usize = 64;
/// How often a request moves to a fresh connection because it was not sent.
const FRESH: u32 = 3;

/// Where customers may enter.
#[derive(Debug)]
pub(super) struct Doors {
    names: Vec<String>,
}

impl Doors {
    /// These names with ports.
    ///
    /// # Errors
    /// Each that has no port.
    pub(super) fn new(names: &[String]) -> Result<Self, Failure> {
        let has_port = |name: &str| {
            name.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let bad: Vec<_> = names
            .iter()
            .filter(|name| !has_port(name))
            .map(|name| format!("--to `{name}`: must be HOST:PORT"))
            .collect();
        if bad.is_empty() {
            Ok(Self {
                names: names.to_vec(),
            })
        } else {
            Err(Failure::Usage(bad.join("\n  ")))
        }
    }

    /// The addresses that the names have now, in order and each once.
    async fn addresses(&self) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        for name in &self.names {
            if let Ok(Ok(found)) = timeout(RESOLVE_WITHIN, tokio::net::lookup_host(name)).await {
                all.extend(found);
            }
        }
        all.sort_unstable();
        all.dedup();
        all.truncate(MAX_ADDRESSES);
        all
    }
}

/// A customer's way: one connection at a time, opened when it is needed.
pub(super) struct Visit {
    doors: Arc<Doors>,
    /// Which of the doors comes next.
    turn: usize,
    at: Option<(SocketAddr, SendRequest<Full<Bytes>>)>,
    taken: Taken,
}

/// What the last request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The proxy that it was sent to.
    pub(super) proxy: Option<SocketAddr>,
    /// Doors that were closed before.
    pub(super) closed: u64,
}

impl Visit {
    /// One that begins at the door of this number.
    pub(super) fn new(doors: Arc<Doors>, number: u32) -> Self {
        Self {
            doors,
            turn: usize::try_from(number).unwrap_or(0),
            at: None,
            taken: Taken::default(),
        }
    }

    /// What the last request took.
    pub(super) fn took(&self) -> Taken {
        self.taken
    }

    /// Leaves the connection, which has an answer under way.
    pub(super) fn leave(&mut self) {
        self.at = None;
    }

    /// Sends a request once, over the open connection or a fresh one.
    pub(super) async fn send(&mut self, method: &Method, path: &str, id: &str) -> Fate {
        self.taken = Taken::default();
        for _ in 0..FRESH {
            let Some((proxy, mut sender)) = self.ready().await else {
                return Fate::Unreachable;
            };
            self.taken.proxy = Some(proxy);
            match exchange(&mut sender, method, path, id).await {
                Ok((status, _)) => {
                    self.at = Some((proxy, sender));
                    return Fate::Answered(status);
                }
                // The proxy had closed the connection; the next one may be well.
                Err(error) if was_not_sent(&error) => self.turn = self.turn.wrapping_add(1),
                Err(error) => return Fate::Cut(error.to_string()),
            }
        }
        Fate::Unreachable
    }

    /// The open connection if it still takes a request, otherwise a fresh one.
    async fn ready(&mut self) -> Option<(SocketAddr, SendRequest<Full<Bytes>>)> {
        if let Some((proxy, mut sender)) = self.at.take()
            && sender.ready().await.is_ok()
        {
            return Some((proxy, sender));
        }
        let addresses = self.doors.addresses().await;
        for step in 0..addresses.len() {
            let turn = self.turn.wrapping_add(step) % addresses.len();
            let address = *addresses.get(turn)?;
            match timeout(CONNECT_WITHIN, open(address)).await {
                Ok(Ok(sender)) => {
                    self.turn = turn;
                    return Some((address, sender));
                }
                Ok(Err(_)) | Err(_) => self.taken.closed = self.taken.closed.saturating_add(1),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn visit(names: &[String]) -> Visit {
        Visit::new(Arc::new(Doors::new(names).unwrap()), 0)
    }

    /// Takes connections one after the other, and gives each one answer.
    async fn proxy(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                drop(stream.read(&mut request).await);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        name
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_politely_costs_nothing() {
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let mut visit = visit(&[proxy(answer).await]);
        for _ in 0..5 {
            let fate = visit.send(&Method::GET, "/", "id").await;
            assert_eq!(fate, Fate::Answered(StatusCode::OK));
            assert_eq!(visit.took().closed, 0);
        }
    }

    #[tokio::test]
    async fn a_closed_door_leads_to_the_next_one() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let names = [
            closed.local_addr().unwrap().to_string(),
            proxy("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await,
        ];
        drop(closed);
        for number in 0..2 {
            let doors = Arc::new(Doors::new(&names).unwrap());
            let mut visit = Visit::new(doors, number);
            let fate = visit.send(&Method::GET, "/", "id").await;
            assert_eq!(fate, Fate::Answered(StatusCode::OK));
            assert_eq!(visit.took().proxy, Some(names[1].parse().unwrap()));
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_lost_and_not_asked_for_again() {
        let mut cut = visit(&[proxy("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await]);
        let fate = cut.send(&Method::POST, "/", "id").await;
        assert!(matches!(fate, Fate::Cut(_)), "{fate:?}");
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        let fate = visit(&[name]).send(&Method::GET, "/", "id").await;
        assert_eq!(fate, Fate::Unreachable);
    }

    #[test]
    fn every_name_needs_a_port() {
        let names = ["proxy".to_owned(), ":80".to_owned(), "a:80".to_owned()];
        let failure = Doors::new(&names).unwrap_err().to_string();
        assert!(
            failure.contains("`proxy`") && failure.contains("`:80`"),
            "{failure}"
        );
        assert!(!failure.contains("`a:80`"), "{failure}");
    }
}
