//! HTTP/1.1 on one thread, without a runtime.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::Context;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::answers::Answers;
use crate::message::Reader;
use crate::table::Table;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// Answers that may wait for the client to take them.
const MOST_PENDING: usize = 1_024;

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: Reader,
    /// Answers to send, in order, and how much of the first one is sent.
    pending: std::collections::VecDeque<usize>,
    sent: usize,
}

/// A server for any number of addresses.
#[derive(Debug)]
pub(super) struct Server {
    poll: Poll,
    listeners: Vec<TcpListener>,
    connections: Table<Connection>,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Server {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            listeners: Vec::new(),
            connections: Table::default(),
            answers: Answers::new(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Listens at more addresses; returns them with their ports.
    pub(super) fn listen(
        &mut self,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> anyhow::Result<Vec<SocketAddr>> {
        let mut bound = Vec::new();
        for address in addresses {
            let mut listener =
                TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
            bound.push(listener.local_addr()?);
            let token = Token(self.listeners.len());
            let registry = self.poll.registry();
            registry.register(&mut listener, token, Interest::READABLE)?;
            self.listeners.push(listener);
        }
        Ok(bound)
    }

    /// Serves for ever.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let Token(token) = event.token();
                match token.checked_sub(self.listeners.len()) {
                    None => self.accept(token)?,
                    Some(slot) => self.serve(slot),
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) -> anyhow::Result<()> {
        let first = self.listeners.len();
        let Some(listener) = self.listeners.get(listener) else {
            return Ok(());
        };
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client went away before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accepting"),
            };
            stream.set_nodelay(true)?;
            let token = Token(first + self.connections.vacant());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, both)?;
            self.connections.insert(Connection {
                stream,
                reader: Reader::default(),
                pending: std::collections::VecDeque::new(),
                sent: 0,
            });
        }
    }

    fn serve(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.turn(&self.answers, &mut self.buffer) {
            self.connections.remove(slot);
        }
    }
}

impl Connection {
    /// Does what can be done; whether the connection is still of use.
    fn turn(&mut self, answers: &Answers, buffer: &mut [u8]) -> bool {
        loop {
            if !self.send(answers) {
                return false;
            }
            let read = match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            let Some(input) = buffer.get(..read) else {
                return false;
            };
            if !self.take(input, answers) || !self.send(answers) {
                return false;
            }
            // A short read has emptied the socket: the next bytes are a new event.
            if read < buffer.len() {
                return true;
            }
        }
    }

    fn take(&mut self, mut input: &[u8], answers: &Answers) -> bool {
        while !input.is_empty() {
            let Ok((took, is_over)) = self.reader.feed(input) else {
                return false;
            };
            input = input.get(took..).unwrap_or_default();
            if is_over {
                let answer = answers.find(self.reader.first_line());
                self.pending.push_back(answer);
            }
        }
        self.pending.len() <= MOST_PENDING
    }

    fn send(&mut self, answers: &Answers) -> bool {
        while let Some(answer) = self.pending.front() {
            let bytes = answers.bytes(*answer);
            let rest = bytes.get(self.sent..).unwrap_or_default();
            match self.stream.write(rest) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            if self.sent >= bytes.len() {
                self.sent = 0;
                self.pending.pop_front();
            }
        }
        true
    }
}
