//! What can be replaced while the daemon runs: rules, limits, alerts. Main and the API replace
//! it, the stages take it over at their next turn.

use std::time::Duration;

use crate::config::{Alert, Config};
use crate::event::rules::Rules;

/// Busiest sources that survive a sweep of names, unless that is more than half of what is allowed.
const TOP_SOURCES: usize = 20;

/// The replaceable part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Filter rules; none by default.
    pub rules: Rules,
    /// Event time may be ahead of arrival by this much.
    pub max_future: Duration,
    /// Bytes of one message; one that has begun keeps the limit it began with.
    pub message_size: usize,
    /// Bytes of one frame; the largest number where only messages are limited.
    pub frame_size: usize,
    /// Bytes of messages that have come in part, of all connections.
    pub unfinished_size: usize,
    /// Events of one message.
    pub events_per_message: usize,
    /// Numeric fields and dimensions of one event.
    pub fields_per_event: usize,
    /// Levels of nesting of one event.
    pub nesting: usize,
    /// Bytes of a `source`, a flattened name and an `id`.
    pub name_size: usize,
    /// Bytes of a string that becomes a dimension.
    pub string_size: usize,
    /// Distinct event types; never more than at the start, when tables were made for them.
    pub event_types: usize,
    /// Distinct sources.
    pub keys: usize,
    /// New sources a second, and new groups of each grouping; 0: as many as come.
    pub new_keys_per_second: usize,
    /// Resident memory at which reading stops, bytes; 0: three quarters of what there is.
    pub memory: usize,
    /// Distinct names of numeric fields.
    pub field_names: usize,
    /// Alert rules.
    pub alerts: Vec<Alert>,
}

impl Settings {
    /// What `config` says.
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            rules: config.event_rules(),
            max_future: config.time.max_future,
            message_size: limits.message_size,
            frame_size: match limits.frame_size {
                0 => usize::MAX,
                most => most,
            },
            unfinished_size: limits.unfinished_size,
            events_per_message: limits.events_per_message,
            fields_per_event: limits.fields_per_event,
            nesting: limits.nesting,
            name_size: limits.name_size,
            string_size: limits.string_size,
            event_types: limits.event_types,
            keys: limits.keys,
            new_keys_per_second: limits.new_keys_per_second,
            memory: limits.memory,
            field_names: limits.field_names,
            alerts: config.alerts.clone(),
        }
    }

    /// Busiest sources that each of so many window threads remembers through a sweep of names,
    /// and publish for it: together at most half of what may be known.
    pub fn most_top(&self, shards: usize) -> usize {
        (self.keys / (4 * shards)).max(TOP_SOURCES.min(self.keys / (2 * shards)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busiest_sources_leave_room_for_others() {
        let mut settings = Settings::new(&Config::default());
        for keys in 1..200 {
            settings.keys = keys;
            for shards in 1..=8 {
                assert!(
                    settings.most_top(shards) * shards <= keys / 2,
                    "{keys} keys, {shards} window threads"
                );
            }
        }
        settings.keys = 40;
        assert_eq!(settings.most_top(1), TOP_SOURCES);
    }
}
