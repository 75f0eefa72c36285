//! The loop that sends requests and counts answers.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;

use super::Report;
use super::connection::{Connection, Turn};
use super::pace::Pace;
use super::timer::Timer;
use crate::clock;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// The token of the timer; connections have those from 0.
const TIMER: Token = Token(usize::MAX - 1);

/// Connections that may be on their way at once, so that no queue of a listening
/// socket overflows.
const OPENING: usize = 64;

/// Time for the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Errors in a row after which the target is taken for dead.
const PATIENCE: u64 = 1_000;

/// Where requests go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) request: Vec<u8>,
    /// TLS of each connection; empty if there is none.
    pub(super) tls: Vec<Arc<ClientConfig>>,
    /// Whether a connection is used again.
    pub(super) keeps: bool,
}

/// A connection, and since when its request is due.
#[derive(Debug)]
struct Lane {
    connection: Connection,
    due: Option<Duration>,
}

/// Counts of one run.
#[derive(Debug, Default)]
struct Tally {
    nanos: Vec<u64>,
    errors: u64,
    errors_in_a_row: u64,
    resumed: u64,
}

#[derive(Debug)]
pub(super) struct Generator {
    target: Target,
    poll: Poll,
    timer: Timer,
    lanes: Vec<Lane>,
    /// Lanes without a request.
    idle: VecDeque<usize>,
    buffer: Vec<u8>,
    tally: Tally,
    began: Instant,
}

impl Generator {
    /// One that uses up to `connections` at once.
    pub(super) fn new(target: Target, connections: usize) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut generator = Self {
            target,
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            lanes: Vec::new(),
            idle: VecDeque::new(),
            buffer: vec![0; BUFFER],
            tally: Tally::default(),
            began: clock::now(),
        };
        for lane in 0..connections {
            let connection = generator.connect(lane)?;
            generator.lanes.push(Lane {
                connection,
                due: None,
            });
            generator.idle.push_back(lane);
            // What is opened at once must fit into the queue of the listener.
            if lane % OPENING == OPENING - 1 {
                clock::pause(Duration::from_millis(10));
            }
        }
        Ok(generator)
    }

    /// Sends requests at a pace, and waits for the answers.
    pub(super) fn run(&mut self, mut pace: Pace) -> anyhow::Result<Report> {
        self.tally = Tally::default();
        self.began = clock::now();
        let mut last_due = Duration::ZERO;
        let mut events = Events::with_capacity(1_024);
        loop {
            let elapsed = self.began.elapsed();
            let next = pace.next_due(elapsed);
            self.issue(&mut pace, elapsed);
            if next.is_some() {
                last_due = elapsed;
            } else if self.idle.len() == self.lanes.len() {
                break;
            } else if elapsed > last_due + LAST_ANSWERS {
                self.give_up()?;
                break;
            }
            self.wait(&pace, &mut events)?;
            for event in &events {
                if event.token() != TIMER {
                    self.turn(event.token().0)?;
                }
            }
        }
        Ok(self.report())
    }

    /// Sends one request on each connection, and keeps all of them open.
    pub(super) fn hold(&mut self) -> anyhow::Result<Report> {
        let mut events = Events::with_capacity(1_024);
        self.tally = Tally::default();
        self.began = clock::now();
        let lanes = self.lanes.len();
        let mut begun = 0;
        while self.tally.nanos.len() < lanes {
            ensure!(self.tally.errors == 0, "a connection was refused or closed");
            let answered = self.tally.nanos.len();
            while begun < lanes && begun - answered < OPENING {
                self.begin(begun, self.began.elapsed())?;
                begun += 1;
            }
            self.poll.poll(&mut events, Some(LAST_ANSWERS))?;
            ensure!(
                !events.is_empty(),
                "{answered} of {lanes} connections were answered"
            );
            for event in &events {
                self.turn(event.token().0)?;
            }
        }
        Ok(self.report())
    }

    fn report(&mut self) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        let tally = std::mem::take(&mut self.tally);
        let mut report = Report::new(tally.nanos, seconds);
        report.errors = tally.errors;
        report.resumed = tally.resumed;
        report
    }

    /// Begins what is due, as far as there are connections for it.
    fn issue(&mut self, pace: &mut Pace, elapsed: Duration) {
        while !self.idle.is_empty() {
            let Some(due) = pace.take(elapsed) else {
                return;
            };
            let Some(lane) = self.idle.pop_front() else {
                return;
            };
            if self.begin(lane, due).is_err() {
                self.tally.errors += 1;
                self.idle.push_back(lane);
            }
        }
    }

    fn begin(&mut self, lane: usize, due: Duration) -> anyhow::Result<()> {
        let Some(Lane {
            connection,
            due: at,
        }) = self.lanes.get_mut(lane)
        else {
            bail!("there is no connection {lane}");
        };
        connection.begin();
        *at = Some(due);
        self.turn(lane)
    }

    fn wait(&mut self, pace: &Pace, events: &mut Events) -> anyhow::Result<()> {
        let mut timeout = LAST_ANSWERS;
        if pace.is_timed() && !self.idle.is_empty() {
            let elapsed = self.began.elapsed();
            let due = pace.next_due(elapsed);
            if let Some(wait) = due.map(|due| due.saturating_sub(elapsed)) {
                if wait.is_zero() {
                    timeout = Duration::ZERO;
                } else {
                    self.timer.set(wait)?;
                }
            }
        }
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            polled => polled.context("poll"),
        }
    }

    fn turn(&mut self, lane: usize) -> anyhow::Result<()> {
        let Some(Lane { connection, due }) = self.lanes.get_mut(lane) else {
            return Ok(());
        };
        let turn = connection.turn(&self.target.request, &mut self.buffer);
        let answered = match turn {
            Ok(Turn::Waiting) => return Ok(()),
            Ok(Turn::Answered) => true,
            Ok(Turn::Refused) | Err(_) => false,
        };
        let is_lost = turn.is_err();
        let was_asked = due.take();
        if let Some(due) = was_asked {
            self.tally.resumed += u64::from(connection.is_resumed());
            self.tally.count(answered, self.began.elapsed(), due)?;
            self.idle.push_back(lane);
        }
        if is_lost || !self.target.keeps {
            self.reconnect(lane)?;
        }
        Ok(())
    }

    fn reconnect(&mut self, lane: usize) -> anyhow::Result<()> {
        let connection = self.connect(lane)?;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.connection = connection;
        }
        Ok(())
    }

    fn connect(&self, lane: usize) -> anyhow::Result<Connection> {
        let target = &self.target;
        let mut connection = Connection::open(target.address, target.tls.get(lane))?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut connection.stream, Token(lane), both)?;
        Ok(connection)
    }

    /// What was not answered in time is an error.
    fn give_up(&mut self) -> anyhow::Result<()> {
        for lane in 0..self.lanes.len() {
            let due = self.lanes.get_mut(lane).and_then(|lane| lane.due.take());
            if due.is_some() {
                self.tally.errors += 1;
                self.reconnect(lane)?;
                self.idle.push_back(lane);
            }
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, answered: bool, now: Duration, due: Duration) -> anyhow::Result<()> {
        if answered {
            self.errors_in_a_row = 0;
            self.nanos
                .push(now.saturating_sub(due).as_nanos().try_into()?);
            return Ok(());
        }
        self.errors += 1;
        self.errors_in_a_row += 1;
        ensure!(
            self.errors_in_a_row < PATIENCE,
            "{PATIENCE} requests in a row have failed"
        );
        Ok(())
    }
}
