//! Count, sum, minimum, maximum, mean and standard deviation of one field.
//!
//! Owned by an [`Aggregate`](super::Aggregate). Three things must always hold: nothing in here
//! is ever infinite or NaN while values are recorded, parts can be merged in any order, and the
//! result is as good as compensated arithmetic in f64 allows, whatever the order.
//!
//! - **Sum**: Neumaier's variant of Kahan's summation (A. Neumaier, "Rundungsfehleranalyse
//!   einiger Verfahren zur Summation endlicher Summen", ZAMM 54, 1974). The error term is kept
//!   beside the sum, through merges too, so `1e16 + 1 - 1e16` is 1. The error is about
//!   `eps |sum| + n eps² Σ|x|`, where a plain sum has `n eps Σ|x|`.
//! - **Standard deviation**: Σd and Σd² of `d = x - K`, with K near the values (T. Chan, G.
//!   Golub, R. LeVeque, "Algorithms for Computing the Sample Variance", 1983). K is the first
//!   value, and moves to the mean whenever the count reaches a power of two. So it is the mean of
//!   at least half of the n values, from which `(K - mean)² <= 2 var` follows: the cancellation
//!   in `Σd² - (Σd)²/n` costs two bits at most, however far from zero the values lie and whatever
//!   came first. What is left is the rounding of Σd² itself, at most `n eps` of the variance.
//!   Parts are merged by the same authors' pairwise formula.
//! - **Range**: squares overflow above 1e154 and vanish below 1e-162. All sums are therefore kept
//!   in a *unit*, a power of two (so that scaling rounds nothing) that grows when the values do.

/// 2^600: from one unit to the next.
const UNIT_STEP: f64 = f64::from_bits((1023 + 600) << 52);
/// 2^470: a value reaching this many units makes the unit grow. A difference of two values then
/// stays below 2^471, its square below 2^942, and the sum of 2^64 squares below 2^1006. In the
/// largest unit f64::MAX itself is below 2^424.
const UNIT_LIMIT: f64 = f64::from_bits((1023 + 470) << 52);

/// Exact count, minimum and maximum; compensated sum; stable standard deviation. 72 bytes.
///
/// `record` takes finite values only. Without a value every statistic is 0.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    count: u64,
    min: f64,
    max: f64,
    /// Units per 1: 2^600, 1 or 2^-600. Everything below is in units.
    scale: f64,
    sum: f64,
    /// What rounding has taken from `sum`.
    sum_error: f64,
    /// K: near the mean.
    shift: f64,
    /// Σ(x - K) and Σ(x - K)².
    shifted_sum: f64,
    shifted_squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self::new()
    }
}

impl Moments {
    /// No values yet.
    pub const fn new() -> Self {
        Self {
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            scale: UNIT_STEP,
            sum: 0.0,
            sum_error: 0.0,
            shift: 0.0,
            shifted_sum: 0.0,
            shifted_squares: 0.0,
        }
    }

    /// Adds one value, which must be finite.
    #[inline]
    pub fn record(&mut self, x: f64) {
        debug_assert!(x.is_finite(), "recorded {x}");
        let x = x + 0.0; // -0 becomes 0, so that the minimum does not depend on the order
        self.min = if x < self.min { x } else { self.min };
        self.max = if x > self.max { x } else { self.max };
        let mut units = x * self.scale;
        while units.abs() >= UNIT_LIMIT {
            self.enlarge_unit();
            units = x * self.scale;
        }
        if self.count == 0 {
            self.shift = units;
        }
        self.count += 1;
        self.add_to_sum(units);
        let d = units - self.shift;
        self.shifted_sum += d;
        self.shifted_squares += d * d;
        if self.count.is_power_of_two() {
            self.move_shift_to_mean();
        }
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let mut other = *other;
        while self.scale > other.scale {
            self.enlarge_unit();
        }
        while other.scale > self.scale {
            other.enlarge_unit();
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.add_to_sum(other.sum);
        self.sum_error += other.sum_error;

        // Squares about the two means, plus what the distance of the means adds; then back to
        // differences from this K.
        let (n1, n2) = (self.count as f64, other.count as f64);
        let shift_distance = other.shift - self.shift;
        let mean_distance = shift_distance + (other.shifted_sum / n2 - self.shifted_sum / n1);
        let squares = self.squares_about_mean()
            + other.squares_about_mean()
            + mean_distance * mean_distance * (n1 * (n2 / (n1 + n2)));
        self.count += other.count;
        self.shifted_sum += other.shifted_sum + n2 * shift_distance;
        self.shifted_squares = squares + self.shifted_sum * (self.shifted_sum / (n1 + n2));
        self.move_shift_to_mean();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum. Beyond the range of f64 it is `f64::MAX` with its sign; the mean and the
    /// deviation stay right there.
    pub fn sum(&self) -> f64 {
        ((self.sum + self.sum_error) / self.scale).clamp(-f64::MAX, f64::MAX)
    }

    /// The smallest value, exactly; 0 without values.
    pub fn min(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.min }
    }

    /// The largest value, exactly; 0 without values.
    pub fn max(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.max }
    }

    /// The mean, never outside of `min..=max`; 0 without values.
    pub fn avg(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = (self.sum + self.sum_error) / self.count as f64 / self.scale;
        mean.clamp(self.min, self.max)
    }

    /// The standard deviation of the population (divided by n, not n - 1): 0 for one value and
    /// for equal values, never NaN, never infinite.
    pub fn std(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let variance = self.squares_about_mean() / self.count as f64;
        (variance.sqrt() / self.scale).min(f64::MAX)
    }

    /// Σ(x - mean)², in square units.
    fn squares_about_mean(&self) -> f64 {
        let mean_of_shifted = self.shifted_sum / self.count as f64;
        (self.shifted_squares - self.shifted_sum * mean_of_shifted).max(0.0)
    }

    /// Equal values do not move it, so their deviation stays exactly 0.
    #[cold]
    fn move_shift_to_mean(&mut self) {
        let n = self.count as f64;
        let squares = self.squares_about_mean();
        let mean = self.shift + self.shifted_sum / n;
        // Not simply 0: the mean was rounded.
        self.shifted_sum -= n * (mean - self.shift);
        self.shifted_squares = squares + self.shifted_sum * (self.shifted_sum / n);
        self.shift = mean;
    }

    #[inline]
    fn add_to_sum(&mut self, units: f64) {
        let total = self.sum + units;
        // What the smaller one lost when it was aligned to the larger one.
        self.sum_error += if self.sum.abs() >= units.abs() {
            (self.sum - total) + units
        } else {
            (units - total) + self.sum
        };
        self.sum = total;
    }

    /// Makes the unit 2^600 times as large. What this takes from small values is less than
    /// 2^-400 of the value that made it necessary.
    #[cold]
    fn enlarge_unit(&mut self) {
        self.scale /= UNIT_STEP;
        self.sum /= UNIT_STEP;
        self.sum_error /= UNIT_STEP;
        self.shift /= UNIT_STEP;
        self.shifted_sum /= UNIT_STEP;
        self.shifted_squares = self.shifted_squares / UNIT_STEP / UNIT_STEP;
    }
}
