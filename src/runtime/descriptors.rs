//! How many descriptors (sockets, mostly) this process may have open.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as it may allow itself: the hard limit.
pub fn most() -> usize {
    getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |most| most.try_into().unwrap_or(usize::MAX))
}

/// Allows itself so many, or all that it may: raises the soft limit, which shells set low for the sake of
/// old programs. Never lowers it.
///
/// # Errors
/// The kernel's.
pub fn allow(wanted: usize) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = (wanted as u64).min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}

/// Whether so many more can be opened at this moment. Others of this process may be quicker afterwards.
/// `of`: any that is open; where the kernel does not say how many there are (Linux 6.2 does), copies of it
/// are made, and closed again.
pub fn has_room(of: &impl AsFd, count: usize) -> bool {
    let open = std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if open > 0 {
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        return most.saturating_sub(open) >= count as u64;
    }
    let copies: io::Result<Vec<_>> = (0..count).map(|_| of.as_fd().try_clone_to_owned()).collect();
    copies.is_ok()
}
