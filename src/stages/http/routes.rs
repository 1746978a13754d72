//! The paths there are, once: what answers each and by which methods. `openapi.json` is checked
//! against this list.

/// What answers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The daemon's figures.
    Stats,
    /// The configured windows.
    Windows,
    /// Closed windows of one name.
    Aggregates,
    /// The filter rules.
    Rules,
    /// Alerts.
    Alerts,
    /// Rejected events.
    DeadLetters,
    /// Late events.
    Late,
    /// Server-sent events.
    Stream,
    /// The figures for Prometheus.
    Metrics,
    /// Whether events are taken.
    Ready,
    /// Whether the daemon lives.
    Live,
    /// A file that is embedded, if there is one of this name.
    File,
}

const READ: &str = "GET, HEAD";

/// Path, where a last part in braces is any text; what answers; the methods, as `Allow` names them.
pub const ROUTES: &[(&str, Route, &str)] = &[
    ("/api/stats", Route::Stats, READ),
    ("/api/windows", Route::Windows, READ),
    ("/api/aggregates/{window}", Route::Aggregates, READ),
    ("/api/rules", Route::Rules, "GET, HEAD, POST, PUT"),
    ("/api/alerts", Route::Alerts, READ),
    ("/api/deadletters", Route::DeadLetters, READ),
    ("/api/late", Route::Late, READ),
    ("/stream/metrics", Route::Stream, "GET"),
    ("/metrics", Route::Metrics, READ),
    ("/health", Route::Ready, READ),
    ("/health/ready", Route::Ready, READ),
    ("/health/live", Route::Live, READ),
    ("/openapi.json", Route::File, READ),
    ("/", Route::File, READ),
    ("/dashboard.html", Route::File, READ),
    ("/static/{file}", Route::File, READ),
];

/// What answers `path`, by which methods, and the text that stands for the part in braces.
pub fn find(path: &str) -> Option<(Route, &'static str, &str)> {
    ROUTES.iter().find_map(|&(pattern, route, allow)| {
        let part = match pattern.split_once('{') {
            Some((start, _)) => path.strip_prefix(start)?,
            None => (path == pattern).then_some("")?,
        };
        Some((route, allow, part))
    })
}

/// Whether a request is for the event stream; `target`: path and query.
pub fn is_stream(method: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or(target);
    method == "GET" && matches!(find(path), Some((Route::Stream, ..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_its_last_part() {
        assert_eq!(find("/health"), Some((Route::Ready, READ, "")));
        assert_eq!(find("/api/aggregates/minute"), Some((Route::Aggregates, READ, "minute")));
        assert_eq!(find("/health/"), None);
    }
}
