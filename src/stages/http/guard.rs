//! Who may change something over HTTP: programs, and pages of this very host.
//!
//! A page elsewhere cannot send JSON without a preflight, which is never granted, and its `Origin` tells
//! on it. A page whose own name its owner makes point to this machine (DNS rebinding) is of the same
//! origin as what it asks; that one is told by the name it uses, in `Host`.

use std::sync::atomic::Ordering;

use tiny_http::Request;

use super::Shared;
use crate::config::web::{OwnHosts, host_of};
use crate::telemetry::refusal::CHANGE_REASONS;

/// Why a change was refused, in the order of [`CHANGE_REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It is not announced as JSON.
    MediaType,
    /// It calls the daemon by a name that is not known to be its own.
    Host,
    /// It comes from a page of another origin.
    Origin,
}

impl Foreign {
    /// The code in the answer, and the label.
    pub(super) fn as_str(self) -> &'static str {
        CHANGE_REASONS[self as usize]
    }

    /// The status of the answer.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::MediaType => 415,
            Self::Host | Self::Origin => 403,
        }
    }

    /// What to do about it.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::MediaType => "send Content-Type: application/json",
            Self::Host => {
                "requests that change something must call the daemon by an address, localhost, this machine's name, \
                 or one that http.allowed_hosts lists"
            }
            Self::Origin => "requests that change something must come from the same origin or carry none",
        }
    }
}

/// Whether this request may change something; what may not is counted.
pub(super) fn may_change(shared: &Shared, request: &Request) -> Result<(), Foreign> {
    let header =
        |name: &'static str| request.headers().iter().find(|h| h.field.equiv(name)).map(|h| h.value.as_str());
    let judged = judge(header("Content-Type"), header("Host"), header("Origin"), &shared.own_hosts);
    if let Err(foreign) = judged {
        shared.telemetry.http.changes_refused[foreign as usize].fetch_add(1, Ordering::Relaxed);
    }
    judged
}

fn judge(
    media: Option<&str>,
    host: Option<&str>,
    origin: Option<&str>,
    own_hosts: &OwnHosts,
) -> Result<(), Foreign> {
    let media = media.unwrap_or("").split(';').next().unwrap_or("");
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(Foreign::MediaType);
    }
    // A browser always names a host.
    if !host.is_none_or(|authority| host_of(authority).is_some_and(|host| own_hosts.has(host))) {
        return Err(Foreign::Host);
    }
    let Some(origin) = origin else { return Ok(()) };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    match (authority, host) {
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Foreign::Origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_json_an_own_name_and_no_foreign_page() {
        let own = OwnHosts::new(vec!["Flumen.example".to_owned()]);
        let json = Some("application/json; charset=utf-8");
        for (host, origin) in [
            (None, None),
            (Some("127.0.0.1:8001"), None),
            (Some("10.1.2.3"), Some("http://10.1.2.3")),
            (Some("[::1]:8001"), Some("http://[::1]:8001")),
            (Some("LOCALHOST:8001"), Some("https://localhost:8001")),
            (Some("flumen.EXAMPLE"), Some("https://flumen.example")),
        ] {
            assert_eq!(judge(json, host, origin, &own), Ok(()), "{host:?} {origin:?}");
        }
        for media in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(judge(media, None, None, &own), Err(Foreign::MediaType), "{media:?}");
        }
        for host in ["evil.example", "evil.example:8001", "flumen.example.evil", "127.0.0.1.evil", "a b", ""]
        {
            let origin = format!("http://{host}");
            assert_eq!(judge(json, Some(host), Some(&origin), &own), Err(Foreign::Host), "{host}");
        }
        for origin in ["http://evil.example", "null", "", "http://localhost", "ftp://localhost:1"] {
            let judged = judge(json, Some("localhost:1"), Some(origin), &own);
            assert_eq!(judged, Err(Foreign::Origin), "{origin}");
        }
    }
}
