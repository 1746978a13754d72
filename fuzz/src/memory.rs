//! An allocator that measures what a piece of work takes from it, in this thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a piece of work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The most that was asked for at once, bytes.
    pub largest: usize,
    /// What was not given back, bytes; below zero where more was given back than taken.
    pub kept: isize,
}

thread_local! {
    static TAKEN: Cell<Option<Taken>> = const { Cell::new(None) };
}

/// What `work` takes. Not to be nested.
pub fn taken_by<R>(work: impl FnOnce() -> R) -> (R, Taken) {
    TAKEN.set(Some(Taken::default()));
    let result = work();
    (result, TAKEN.take().unwrap_or_default())
}

fn note(taken: usize, given: usize) {
    // A thread that is being torn down measures no more.
    let _gone = TAKEN.try_with(|cell| {
        if let Some(so_far) = cell.get() {
            cell.set(Some(Taken {
                largest: so_far.largest.max(taken),
                kept: so_far.kept + taken as isize - given as isize,
            }));
        }
    });
}

struct Measuring;

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note(0, layout.size());
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size, layout.size());
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;
