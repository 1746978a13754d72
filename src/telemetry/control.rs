//! What main counts, who reloads and watches over the threads.

use super::counters::Counter;

/// Written by main, who reloads and watches over the threads.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ControlCounters {
    reloads_succeeded: Counter,
    reloads_refused: Counter,
    /// Whether the last one was refused: 1 or 0.
    last_refused: Counter,
    /// When a configuration was last taken over, microseconds since the epoch.
    last_success_us: Counter,
    threads_stalled: Counter,
    memory_limit_bytes: Counter,
    memory_stops: Counter,
    /// 1 or 0.
    memory_stopped: Counter,
}

impl ControlCounters {
    /// Counters of a daemon that took over its first configuration at `wall_us`, microseconds
    /// since the epoch.
    pub fn new(wall_us: i64) -> Self {
        let counters = Self::default();
        counters.last_success_us.set(wall_us.max(0) as u64);
        counters
    }

    /// A reload has taken the new configuration over at `wall_us`, microseconds since the epoch.
    pub fn reload_succeeded(&self, wall_us: i64) {
        self.reloads_succeeded.add(1);
        self.last_refused.set(0);
        self.last_success_us.set(wall_us.max(0) as u64);
    }

    /// A reload was refused; the old configuration stays.
    pub fn reload_refused(&self) {
        self.reloads_refused.add(1);
        self.last_refused.set(1);
    }

    /// So many threads have made no turn for too long (0: all is well).
    pub fn set_threads_stalled(&self, threads: u64) {
        self.threads_stalled.set(threads);
    }

    /// What `limits.memory` comes to, bytes.
    pub fn set_memory_limit(&self, bytes: u64) {
        self.memory_limit_bytes.set(bytes);
    }

    /// Reading has stopped at `limits.memory`, or goes on.
    pub fn memory_is_full(&self, full: bool) {
        self.memory_stops.add(full.into());
        self.memory_stopped.set(full.into());
    }

    /// What `limits.memory` comes to, bytes, how often reading has stopped there, and whether it has now (1
    /// or 0).
    pub fn memory(&self) -> (u64, u64, u64) {
        (self.memory_limit_bytes.get(), self.memory_stops.get(), self.memory_stopped.get())
    }

    /// Reloads that succeeded and reloads that were refused, since the start.
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloads_succeeded.get(), self.reloads_refused.get())
    }

    /// Whether the last reload succeeded; true before the first.
    pub fn last_reload_succeeded(&self) -> bool {
        self.last_refused.get() == 0
    }

    /// When a configuration was last taken over (the start is the first time), microseconds since
    /// the epoch.
    pub fn last_success_us(&self) -> u64 {
        self.last_success_us.get()
    }

    /// Threads that make no turns.
    pub fn threads_stalled(&self) -> u64 {
        self.threads_stalled.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_reload_is_remembered_until_one_succeeds() {
        let control = ControlCounters::new(1_000_000);
        let told = || (control.reloads(), control.last_reload_succeeded(), control.last_success_us());
        assert_eq!(told(), ((0, 0), true, 1_000_000));
        control.reload_refused();
        assert_eq!(told(), ((0, 1), false, 1_000_000));
        control.reload_succeeded(7_000_000);
        assert_eq!(told(), ((1, 1), true, 7_000_000));
    }
}
