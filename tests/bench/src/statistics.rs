//! Order statistics.

/// The value below which a share of the sorted values lies, with interpolation
/// between neighbours; not a number if there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share.clamp(0.0, 1.0) * float(last);
    let below = sorted
        .iter()
        .enumerate()
        .take_while(|(index, _)| float(*index) <= place);
    let Some((index, low)) = below.last() else {
        return f64::NAN;
    };
    let high = sorted.get(index + 1).unwrap_or(low);
    low + (high - low) * (place - float(index))
}

/// A count as a number to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "no count here comes near 2^52; up to there it is exact"
)]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 3.0, 4.0];
        let of = |share| quantile(&values, share);
        assert!((of(0.0) - 1.0).abs() < 1e-9);
        assert!((of(0.5) - 2.5).abs() < 1e-9);
        assert!((of(0.25) - 1.75).abs() < 1e-9);
        assert!((of(1.0) - 4.0).abs() < 1e-9);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
