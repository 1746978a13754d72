//! How the heap is laid out.

/// Gives the kernel back what is free in the heap, wherever it lies. Takes a moment, in which nobody allocates.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes a number and may be called at any time; it locks what it changes.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// One heap for all threads. glibc gives each thread an arena of its own, and what a burst leaves free in one
/// of them is of no use to the others: after minutes of hostile clients (`tests/chaos/run`) the daemon held
/// 41 MiB, of which 20 were free, instead of 27. The path of an event allocates nothing, so threads do not
/// meet in the heap often enough to be slower for it. To be called while there is one thread.
///
/// Other C libraries have one heap anyway. `MALLOC_ARENA_MAX` in the environment goes first.
pub fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: mallopt(3) takes two integers and may be called at any time; it locks what it changes.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
