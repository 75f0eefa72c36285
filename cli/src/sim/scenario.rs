//! What is simulated: who asks, what stands behind, and what goes wrong when.
//! Here a scenario is as it is written; [`check`] says what is wrong with it.

use std::time::Duration;

use evenkeel_shared::error::{Faults, Invalid};
use evenkeel_shared::units::{duration_text, optional_duration_text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::backend::{Build, Door};
use super::entropy::Times;

mod check;
mod timeline;

pub(super) use timeline::Timeline;

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scenario {
    /// What it is called.
    pub(super) name: String,
    /// What it shows, in a sentence.
    pub(super) about: String,
    /// For how long requests come.
    #[serde(with = "duration_text")]
    pub(super) duration: Duration,
    /// The beginning, which is not part of the report.
    #[serde(with = "duration_text", default = "five_seconds")]
    pub(super) warm_up: Duration,
    /// Who asks.
    pub(super) clients: Clients,
    /// Number of proxies in each tier, that of the clients first.
    #[serde(default = "one_proxy")]
    pub(super) proxies: Vec<usize>,
    /// What stands behind the last tier.
    #[serde(default)]
    pub(super) endpoints: Endpoints,
    /// What goes wrong.
    #[serde(default)]
    pub(super) faults: Vec<Fault>,
    /// The `spec` of a `Policy`, for cluster and route.
    #[serde(default)]
    pub(super) policy: Map<String, Value>,
}

/// Who asks: either at a rate, whatever becomes of earlier requests, or so many
/// customers, each of whom waits for an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Clients {
    /// Requests per second, at random.
    pub(super) rate: Option<f64>,
    /// Customers.
    pub(super) customers: Option<usize>,
    /// How long a customer thinks before the next request, on average.
    #[serde(with = "duration_text", default = "a_second")]
    pub(super) think: Duration,
    /// How long a client waits for an answer.
    #[serde(with = "duration_text", default = "a_second")]
    pub(super) timeout: Duration,
    /// An answer within this time is a good one.
    #[serde(with = "duration_text", default = "quarter_second")]
    pub(super) slo: Duration,
    /// How often a client tries again by itself.
    #[serde(default)]
    pub(super) retries: u32,
    /// How long it waits before, on average.
    #[serde(with = "duration_text", default)]
    pub(super) backoff: Duration,
    /// How many addresses they come from.
    #[serde(default = "hundred_addresses")]
    pub(super) addresses: usize,
    /// Share of requests that must not be executed twice.
    #[serde(default)]
    pub(super) unsafe_percent: f64,
    /// Times with more requests, or fewer.
    #[serde(default)]
    pub(super) surges: Vec<Surge>,
}

/// A time with more requests, or fewer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Surge {
    /// When it begins.
    #[serde(with = "duration_text")]
    pub(super) at: Duration,
    /// How long it lasts.
    #[serde(rename = "for", with = "duration_text")]
    pub(super) lasts: Duration,
    /// How many times the usual rate.
    pub(super) times: f64,
}

/// What stands behind the last tier.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Endpoints {
    /// How many there are.
    pub(super) count: usize,
    /// Requests that one works on at once.
    pub(super) slots: usize,
    /// Requests that may wait for a slot.
    pub(super) queue: usize,
    /// How long one is worked on.
    pub(super) service: Service,
    /// Time on the wire, there and back, between any two.
    #[serde(with = "duration_text")]
    pub(super) round_trip: Duration,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            count: 10,
            slots: 2,
            queue: 100,
            service: Service::default(),
            round_trip: Duration::from_micros(500),
        }
    }
}

impl Endpoints {
    /// What each is made of.
    pub(super) fn build(&self) -> Build {
        Build {
            slots: self.slots,
            queue: self.queue,
            service: self
                .service
                .times()
                .unwrap_or(Times::Constant(self.service.mean)),
        }
    }
}

/// How long a request is worked on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Service {
    /// On average.
    #[serde(with = "duration_text")]
    pub(super) mean: Duration,
    /// At most, for 99 of 100; only of a log-normal distribution.
    #[serde(with = "optional_duration_text")]
    pub(super) p99: Option<Duration>,
    /// How it is distributed.
    pub(super) distribution: Distribution,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            mean: Duration::from_millis(10),
            p99: None,
            distribution: Distribution::Lognormal,
        }
    }
}

impl Service {
    /// Without a percentile, a log-normal time has one of four times its mean.
    pub(super) fn times(&self) -> Option<Times> {
        match self.distribution {
            Distribution::Constant => Some(Times::Constant(self.mean)),
            Distribution::Exponential => Some(Times::Exponential(self.mean)),
            Distribution::Lognormal => {
                let p99 = self.p99.unwrap_or(self.mean.saturating_mul(4));
                Times::lognormal(self.mean, p99)
            }
        }
    }
}

/// How a time is distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Distribution {
    /// Always the same.
    Constant,
    /// Exponentially.
    Exponential,
    /// Log-normally.
    Lognormal,
}

/// Something that goes wrong, once or again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Fault {
    /// When it begins.
    #[serde(with = "duration_text")]
    pub(super) at: Duration,
    /// How long it lasts; to the end if nothing is said.
    #[serde(rename = "for", with = "optional_duration_text", default)]
    pub(super) lasts: Option<Duration>,
    /// Time from one beginning to the next.
    #[serde(with = "optional_duration_text", default)]
    pub(super) every: Option<Duration>,
    /// How often it happens; once if nothing is said.
    pub(super) repeat: Option<u32>,
    /// The endpoints it happens to, counted from 1; all if nothing is said.
    #[serde(default)]
    pub(super) endpoints: Vec<usize>,
    /// What happens.
    pub(super) what: What,
}

/// What happens to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum What {
    /// Requests take so many times as long.
    Slow {
        /// How many times.
        times: f64,
        /// Which share of them.
        #[serde(default = "all")]
        percent: f64,
    },
    /// Requests are answered with an error.
    Fail {
        /// Which share of them.
        #[serde(default = "all")]
        percent: f64,
        /// The status.
        #[serde(default = "unavailable")]
        status: u16,
        /// After which time.
        #[serde(with = "duration_text", default)]
        after: Duration,
    },
    /// No more than so many requests per second; the rest is answered with 429.
    Limit {
        /// Requests per second.
        rate: u32,
    },
    /// The process is gone: what it had is reset, connections are refused.
    Crash,
    /// It accepts and never answers.
    Hang,
    /// It takes no connections, and finishes what it has.
    Refuse,
    /// The control plane does not name it.
    Absent,
}

impl What {
    /// What becomes of requests that come, if this says.
    pub(super) fn door(self) -> Option<Door> {
        match self {
            Self::Crash => Some(Door::Crashed),
            Self::Hang => Some(Door::Hanging),
            Self::Refuse => Some(Door::Refusing),
            Self::Slow { .. } | Self::Fail { .. } | Self::Limit { .. } | Self::Absent => None,
        }
    }
}

impl Scenario {
    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// All of it at once, each with the path of its field.
    pub(super) fn check(&self) -> Result<(), Vec<Invalid>> {
        let mut faults = Faults::new();
        check::scenario(self, &mut faults);
        let found = faults.into_vec();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn a_second() -> Duration {
    Duration::from_secs(1)
}

fn quarter_second() -> Duration {
    Duration::from_millis(250)
}

fn hundred_addresses() -> usize {
    100
}

fn one_proxy() -> Vec<usize> {
    vec![1]
}

fn all() -> f64 {
    100.0
}

fn unavailable() -> u16 {
    503
}
