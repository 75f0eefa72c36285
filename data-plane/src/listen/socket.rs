//! Sockets that all workers listen on at once.

use std::io;
use std::net::{SocketAddr, TcpListener};

use evenkeel_shared::names::ListenerName;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that may wait in a socket before a worker accepts them.
const BACKLOG: i32 = 4_096;

/// Sockets that are bound but do not listen yet: one for each worker, so that
/// the kernel spreads connections without a lock of ours.
#[derive(Debug)]
pub struct Bound {
    /// Which listener they are for.
    pub name: ListenerName,
    /// What they are bound to, with the port that the system chose if it was
    /// asked to.
    pub address: SocketAddr,
    sockets: Vec<Socket>,
}

impl Bound {
    /// Binds `count` sockets to one address.
    pub(crate) fn bind(name: &ListenerName, address: SocketAddr, count: usize) -> io::Result<Self> {
        let first = bind(address)?;
        let address = first
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("not an internet address"))?;
        let mut sockets = vec![first];
        for _ in 1..count.max(1) {
            sockets.push(bind(address)?);
        }
        Ok(Self {
            name: name.clone(),
            address,
            sockets,
        })
    }

    /// Makes the sockets listen.
    pub(crate) fn listen(self) -> io::Result<Vec<TcpListener>> {
        self.sockets
            .into_iter()
            .map(|socket| {
                socket.listen(BACKLOG)?;
                Ok(socket.into())
            })
            .collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `[::]` is for IPv6 alone, whatever the system's default, so that
        // `0.0.0.0` can be bound beside it.
        socket.set_only_v6(true)?;
    }
    // Inherited by what is accepted.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}
