//! Which hosts may be chosen.

use evenkeel_shared::units::Percent;

pub mod outlier;

/// Whether so few hosts are healthy that health is ignored.
pub fn panic(healthy: usize, total: usize, threshold: Percent) -> bool {
    let healthy = healthy as u128 * u128::from(Percent::HUNDRED.millionths());
    healthy < total as u128 * u128::from(threshold.millionths())
}
