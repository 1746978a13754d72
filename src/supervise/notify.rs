//! What the service manager is told: sd_notify(3). Without `NOTIFY_SOCKET` all of it is nothing.

use std::time::Duration;

use sd_notify::NotifyState as State;

/// How long after `shutdown.timeout` the service manager may still wait.
const EXIT_MARGIN: Duration = Duration::from_secs(5);

/// The sockets are bound and all threads run.
pub fn ready(status: &str) {
    tell(&[State::Ready, State::Status(status)]);
}

/// A line for `systemctl status`.
pub fn status(status: &str) {
    tell(&[State::Status(status)]);
}

/// A reload has begun; [`ready`] ends it.
pub fn reloading() {
    // Newer managers want to know since when, older ones ignore it.
    match State::monotonic_usec_now() {
        Ok(since) => tell(&[State::Reloading, since]),
        Err(_) => tell(&[State::Reloading]),
    }
}

/// The drain has begun and may take so long, whatever the unit says.
pub fn stopping(timeout: Duration) {
    let most = timeout.saturating_add(EXIT_MARGIN).as_micros();
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    tell(&[State::Stopping, State::ExtendTimeoutUsec(most), State::Status("draining")]);
}

/// All threads make progress.
pub fn alive() {
    tell(&[State::Watchdog]);
}

/// Within what time [`alive`] has to be said again and again; `None`: nobody watches.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

fn tell(states: &[State<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        // If it matters, the manager's own time-out says so.
        tracing::debug!("the service manager could not be told: {error}");
    }
}
