//! What a scenario may say.

use std::time::Duration;

use evenkeel_shared::error::Faults;

use super::{Clients, Endpoints, Fault, Scenario, What};

/// More requests than this would need more memory than a simulation should.
const MAX_REQUESTS: f64 = 5_000_000.0;
/// Longest time that is simulated.
const MAX_DURATION: Duration = Duration::from_hours(1);
/// Most tiers of proxies.
const MAX_TIERS: usize = 2;
/// Most proxies of a tier.
const MAX_PROXIES: usize = 100;
/// Most endpoints.
const MAX_ENDPOINTS: usize = 1_000;
/// Most times that a fault happens.
const MAX_REPEAT: u32 = 1_000;

pub(super) fn scenario(scenario: &Scenario, faults: &mut Faults) {
    let Scenario {
        name,
        about: _,
        duration,
        warm_up,
        clients,
        proxies,
        endpoints,
        faults: broken,
        policy: _,
    } = scenario;
    if name.is_empty() {
        faults.add("name", "required");
    }
    if !(Duration::from_secs(1)..=MAX_DURATION).contains(duration) {
        faults.add("duration", "must be between 1s and 1h");
    }
    if warm_up >= duration {
        faults.add("warmUp", "must be shorter than `duration`");
    }
    if !(1..=MAX_TIERS).contains(&proxies.len()) {
        faults.add(
            "proxies",
            "must name one tier or two, such as [3] or [2, 3]",
        );
    }
    for (index, count) in proxies.iter().enumerate() {
        let path = format!("proxies[{index}]");
        within(*count, 1, MAX_PROXIES, &path, faults);
    }
    self::clients(clients, *duration, faults);
    self::endpoints(endpoints, faults);
    for (index, fault) in broken.iter().enumerate() {
        let path = format!("faults[{index}]");
        self::fault(fault, (&path, scenario), faults);
    }
}

fn clients(clients: &Clients, duration: Duration, faults: &mut Faults) {
    let surges = clients.surges.iter().map(|surge| surge.times);
    let most = surges.fold(1.0, f64::max);
    let per_second = match (clients.rate, clients.customers) {
        (Some(rate), None) => {
            positive(rate, "clients.rate", faults);
            rate
        }
        (None, Some(customers)) => {
            within(customers, 1, 100_000, "clients.customers", faults);
            if clients.think < Duration::from_millis(1) {
                faults.add("clients.think", "must be at least 1ms");
            }
            let customers = u32::try_from(customers).unwrap_or(u32::MAX);
            f64::from(customers) / clients.think.as_secs_f64()
        }
        _ => {
            let rule = "must have one of `rate` and `customers`, and not both";
            faults.add("clients", rule);
            0.0
        }
    };
    if per_second * most * duration.as_secs_f64() > MAX_REQUESTS {
        let rule = "may send more than 5000000 requests; make it shorter or send fewer";
        faults.add("clients", rule);
    }
    for (index, surge) in clients.surges.iter().enumerate() {
        let path = format!("clients.surges[{index}]");
        positive(surge.times, &format!("{path}.times"), faults);
        begins(surge.at, duration, &path, faults);
        if clients.customers.is_some() {
            faults.add(path, "needs `rate`: the number of customers stays the same");
        }
    }
    if clients.timeout.is_zero() {
        faults.add("clients.timeout", "must not be zero");
    }
    if clients.retries > 10 {
        faults.add("clients.retries", "must be at most 10");
    }
    within(clients.addresses, 1, 65_536, "clients.addresses", faults);
    percent(clients.unsafe_percent, "clients.unsafePercent", faults);
}

fn endpoints(endpoints: &Endpoints, faults: &mut Faults) {
    within(endpoints.count, 1, MAX_ENDPOINTS, "endpoints.count", faults);
    within(endpoints.slots, 1, 100_000, "endpoints.slots", faults);
    within(endpoints.queue, 0, 1_000_000, "endpoints.queue", faults);
    if endpoints.service.mean.is_zero() {
        faults.add("endpoints.service.mean", "must not be zero");
    } else if endpoints.service.times().is_none() {
        let rule = "must be longer than the mean and shorter than 14 times of it";
        faults.add("endpoints.service.p99", rule);
    }
}

fn fault(fault: &Fault, (path, scenario): (&str, &Scenario), faults: &mut Faults) {
    begins(fault.at, scenario.duration, path, faults);
    if fault.lasts.is_some_and(|lasts| lasts.is_zero()) {
        faults.add(format!("{path}.for"), "must not be zero");
    }
    if fault.repeat.is_some() != fault.every.is_some() {
        faults.add(
            path,
            "must have both of `every` and `repeat`, or none of them",
        );
    }
    if fault.repeat.is_some_and(|repeat| repeat > MAX_REPEAT) {
        faults.add(format!("{path}.repeat"), "must be at most 1000");
    }
    if let (Some(every), lasts) = (fault.every, fault.lasts)
        && lasts.is_none_or(|lasts| lasts >= every)
    {
        faults.add(format!("{path}.for"), "must be shorter than `every`");
    }
    for (index, number) in fault.endpoints.iter().enumerate() {
        let path = format!("{path}.endpoints[{index}]");
        within(*number, 1, scenario.endpoints.count, &path, faults);
    }
    let path = format!("{path}.what");
    match fault.what {
        What::Slow { times, percent } => {
            positive(times, &format!("{path}.slow.times"), faults);
            self::percent(percent, &format!("{path}.slow.percent"), faults);
        }
        What::Fail {
            percent, status, ..
        } => {
            self::percent(percent, &format!("{path}.fail.percent"), faults);
            let status = usize::from(status);
            within(status, 400, 599, &format!("{path}.fail.status"), faults);
        }
        What::Limit { rate: 0 } => {
            faults.add(format!("{path}.limit.rate"), "must be at least 1");
        }
        What::Limit { .. } | What::Crash | What::Hang | What::Refuse | What::Absent => {}
    }
}

fn begins(at: Duration, duration: Duration, path: &str, faults: &mut Faults) {
    if at >= duration {
        faults.add(format!("{path}.at"), "must be before the end");
    }
}

fn within(value: usize, least: usize, most: usize, path: &str, faults: &mut Faults) {
    if !(least..=most).contains(&value) {
        let rule = format!("invalid value {value}: must be between {least} and {most}");
        faults.add(path, rule);
    }
}

fn positive(value: f64, path: &str, faults: &mut Faults) {
    if !(value > 0.0 && value <= 1_000_000.0) {
        let rule = format!("invalid value {value}: must be above 0 and at most 1000000");
        faults.add(path, rule);
    }
}

fn percent(value: f64, path: &str, faults: &mut Faults) {
    if !(0.0..=100.0).contains(&value) {
        let rule = format!("invalid value {value}: must be between 0 and 100");
        faults.add(path, rule);
    }
}
