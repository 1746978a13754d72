//! What can be replaced while the daemon runs: rules, limits, alerts. Main and the API replace
//! it, the stages take it over at their next chunk.

use std::time::Duration;

use crate::config::{Alert, Config};
use crate::event::rules::Rules;

/// The replaceable part of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Filter rules; none by default.
    pub rules: Rules,
    /// Event time may be ahead of arrival by this much.
    pub max_future: Duration,
    /// Distinct event types.
    pub event_types: usize,
    /// Distinct sources.
    pub keys: usize,
    /// Distinct names of numeric fields.
    pub field_names: usize,
    /// Alert rules.
    pub alerts: Vec<Alert>,
}

impl Settings {
    /// What `config` says, with no rules.
    pub fn new(config: &Config) -> Self {
        Self {
            rules: Rules::default(),
            max_future: config.time.max_future,
            event_types: config.limits.event_types,
            keys: config.limits.keys,
            field_names: config.limits.field_names,
            alerts: config.alerts.clone(),
        }
    }

    /// The same rules with the limits and alerts of a reloaded `config`. The table of event
    /// types was sized at the start, so that limit can only shrink.
    pub fn reloaded(&self, config: &Config, event_types_at_start: usize) -> Self {
        Self {
            rules: self.rules.clone(),
            event_types: config.limits.event_types.min(event_types_at_start),
            ..Self::new(config)
        }
    }
}
