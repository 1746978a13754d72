//! Load patterns: how many events are due after a time.

/// How the rate changes over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Pattern {
    /// The rate, always.
    #[default]
    Steady,
    /// From nothing to the rate in 5 minutes, then steady.
    Ramp,
    /// Five times the rate for the first 10 seconds of each minute.
    Spike,
    /// A sine of 5 minutes between half and one and a half of the rate.
    Wave,
}

const RAMP_S: f64 = 300.0;
const SPIKE_EVERY_S: f64 = 60.0;
const SPIKE_S: f64 = 10.0;
const SPIKE_TIMES: f64 = 5.0;
const WAVE_S: f64 = 300.0;
const WAVE_AMPLITUDE: f64 = 0.5;

impl Pattern {
    /// Events due within the first `seconds`, for a rate of 1/s: the integral of the rate.
    pub fn due(self, seconds: f64) -> f64 {
        match self {
            Self::Steady => seconds,
            Self::Ramp if seconds < RAMP_S => seconds * seconds / (2.0 * RAMP_S),
            Self::Ramp => seconds - RAMP_S / 2.0,
            Self::Spike => {
                let minutes = (seconds / SPIKE_EVERY_S).floor();
                let rest = seconds - minutes * SPIKE_EVERY_S;
                let extra = minutes * SPIKE_S + rest.min(SPIKE_S);
                seconds + extra * (SPIKE_TIMES - 1.0)
            }
            Self::Wave => {
                let turn = std::f64::consts::TAU / WAVE_S;
                seconds + WAVE_AMPLITUDE * (1.0 - (turn * seconds).cos()) / turn
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The momentary rate, from the integral.
    fn rate(pattern: Pattern, at: f64) -> f64 {
        (pattern.due(at + 5e-4) - pattern.due(at - 5e-4)) / 1e-3
    }

    #[test]
    fn rates_are_the_contracts() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-3, "{a} {b}");
        close(rate(Pattern::Steady, 7.0), 1.0);
        close(rate(Pattern::Ramp, 75.0), 0.25);
        close(rate(Pattern::Ramp, 400.0), 1.0);
        close(rate(Pattern::Spike, 5.0), 5.0);
        close(rate(Pattern::Spike, 30.0), 1.0);
        close(rate(Pattern::Spike, 65.0), 5.0);
        close(rate(Pattern::Wave, 75.0), 1.5);
        close(rate(Pattern::Wave, 225.0), 0.5);
        close(Pattern::Wave.due(300.0), 300.0);
    }
}
