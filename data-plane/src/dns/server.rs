//! A name server of a few lines, for tests.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What is said of a name.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// These addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Too many for UDP.
    OnlyByTcp(Vec<Ipv4Addr>),
    /// The name exists and has no address.
    Nothing,
    /// The server has failed.
    Failed,
    /// No word at all.
    Silence,
}

/// A server that knows names; those that it does not know do not exist.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<BTreeMap<String, Said>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        // The port of UDP may be taken on TCP.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let server = Self {
            address: udp.local_addr().unwrap(),
            names: Arc::default(),
        };
        tokio::spawn(server.clone().serve_udp(udp));
        tokio::spawn(server.clone().serve_tcp(tcp));
        server
    }

    pub(crate) fn say(&self, name: &str, said: Said) {
        self.names.lock().insert(name.to_owned(), said);
    }

    pub(crate) fn forget(&self, name: &str) {
        self.names.lock().remove(name);
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut question = [0; 1_500];
        loop {
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            if let Some(answer) = self.answer(&question[..length], false) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    }

    async fn serve_tcp(self, socket: TcpListener) {
        loop {
            let (mut stream, _) = socket.accept().await.unwrap();
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    if let Some(answer) = server.answer(&question, true) {
                        let length = u16::try_from(answer.len()).unwrap();
                        stream.write_u16(length).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                }
            });
        }
    }

    /// The message of RFC 1035 section 4 that answers another.
    fn answer(&self, question: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let (mut labels, mut at) = (Vec::new(), 12);
        while question[at] != 0 {
            let end = at + 1 + usize::from(question[at]);
            labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_lowercase());
            at = end;
        }
        let end = at + 5;
        let wants_ipv4 = question[at + 1..at + 3] == [0, 1];
        let said = self.names.lock().get(&labels.join(".")).cloned();
        let (code, cut, addresses) = match said {
            None => (3, false, Vec::new()),
            Some(Said::Failed) => (2, false, Vec::new()),
            Some(Said::Silence) => return None,
            Some(Said::Nothing) => (0, false, Vec::new()),
            Some(Said::OnlyByTcp(_)) if !tcp => (0, true, Vec::new()),
            Some(Said::Addresses(all) | Said::OnlyByTcp(all)) => (0, false, all),
        };
        let addresses = if wants_ipv4 { addresses } else { Vec::new() };
        let count = u16::try_from(addresses.len()).unwrap();
        let mut answer = question[..2].to_vec();
        answer.extend([0x81 | (u8::from(cut) << 1), 0x80 | code, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        for address in addresses {
            // The name above, A, IN, ten minutes, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
    }
}
