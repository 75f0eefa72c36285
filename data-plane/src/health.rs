//! Which hosts may be chosen: what is learned from traffic and from asking them,
//! and when it is not believed.

use evenkeel_shared::units::Percent;

pub mod active;
pub mod outlier;
pub mod task;
pub mod trigger;

pub use trigger::{TRIGGER_QUEUE, Trigger};

/// Whether so few of the hosts are healthy that health is ignored: with most of
/// them gone, what is left would fall to the load. Never at a threshold of 0.
pub fn panic(healthy: usize, total: usize, threshold: Percent) -> bool {
    let whole = u128::from(Percent::HUNDRED.millionths());
    healthy as u128 * whole < total as u128 * u128::from(threshold.millionths())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_ignored_below_the_threshold() {
        assert!(panic(4, 10, Percent::whole(50)));
        assert!(!panic(5, 10, Percent::whole(50)));
        assert!(!panic(0, 10, Percent::ZERO));
        assert!(!panic(0, 0, Percent::whole(50)));
    }
}
