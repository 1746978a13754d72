//! Event time: watermark, slices, sessions, windows. Pure: no thread, no socket, no clock; a
//! moment is an argument, so every rule about windows can be tested as a function.
//!
//! | file | what |
//! | --- | --- |
//! | [`watermark`] | how far event time has come |
//! | [`slices`] | tumbling and sliding windows of one family, merged from shared slices |
//! | [`sessions`] | session windows |
//! | [`engine`] | one shard: applies samples, advances time, hands out what has closed |
//! | [`merge`] | the shards' parts put together, in one order for every number of shards |
//! | [`ids`] | which names are still in use |
//!
//! An event updates one slice a family; windows are merged from slices when they close, so that
//! many windows cost about what one does.

pub mod engine;
pub mod ids;
pub mod merge;
pub mod sessions;
pub mod slices;
pub mod watermark;

use crate::aggregate::{Aggregate, Projection};

/// Windows at most: how many bits a [`WindowSet`] has.
pub const MAX_WINDOWS: usize = 256;

/// What the engine is to compute.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Windows that see the same events in the same groups share a family, and with it slices.
    pub families: Vec<Family>,
    /// The windows; results name them by their index in here. At most [`MAX_WINDOWS`].
    pub windows: Vec<Spec>,
    /// When the daemon started, wall clock, microseconds: windows that were open then are
    /// partial. `None`: nothing is.
    pub started_us: Option<i64>,
}

/// Who belongs to a family, and how an event finds its group in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Every event, one group: number 0.
    All,
    /// Every event, by source.
    Source,
    /// Every event, by type.
    Kind,
    /// Events that bring a group for this slot ([`Sample::groups`]): a filter or a grouping
    /// that the parse thread has worked out. Group numbers belong to this table of names.
    Given {
        /// The slot.
        slot: u16,
        /// Which table of names the group numbers are from.
        names: GroupNames,
    },
}

/// The table of names behind a family's group numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupNames {
    /// There is one group, without a name.
    None,
    /// Sources.
    Sources,
    /// Event types.
    Kinds,
    /// A table of its own: of that many groupings, this one.
    Table(u16),
}

impl Family {
    /// The table of names behind its group numbers.
    pub fn names(self) -> GroupNames {
        match self {
            Self::All => GroupNames::None,
            Self::Source => GroupNames::Sources,
            Self::Kind => GroupNames::Kinds,
            Self::Given { names, .. } => names,
        }
    }

    /// The group of a sample, `None` if it does not belong to the family.
    pub fn group_of(self, sample: &Sample) -> Option<u32> {
        match self {
            Self::All => Some(0),
            Self::Source => Some(sample.source),
            Self::Kind => Some(u32::from(sample.kind)),
            Self::Given { slot, .. } => {
                sample.groups.iter().find(|&&(s, _)| s == slot).map(|&(_, group)| group)
            }
        }
    }
}

/// One window.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its kind.
    pub kind: Kind,
    /// Index into [`Layout::families`].
    pub family: usize,
    /// How long after its end late events still revise it, microseconds.
    pub lateness_us: i64,
    /// Which fields and distinct counts it shows.
    pub show: Projection,
}

/// The kind of a window. All times are microseconds and at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[k * slide, k * slide + size)`, aligned to the epoch; tumbling if `slide == size`.
    /// `slide <= size`, or events would vanish between windows.
    Aligned {
        /// How long a window is.
        size_us: i64,
        /// From one start to the next.
        slide_us: i64,
    },
    /// `[first, last + gap)`; events at most `gap` apart belong together.
    Session {
        /// The gap.
        gap_us: i64,
    },
}

/// One event as the windows see it; reused from event to event.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Event time, microseconds.
    pub time_us: i64,
    /// Number of the source.
    pub source: u32,
    /// Number of the type.
    pub kind: u16,
    /// Groups of the [`Family::Given`] families it belongs to: slot and number.
    pub groups: Vec<(u16, u32)>,
    /// Hashes of the dimensions whose distinct values are counted: slot and hash.
    pub distinct: Vec<(u16, u64)>,
    /// Numeric fields: number and value, finite.
    pub fields: Vec<(u32, f64)>,
}

impl Sample {
    /// The next event; its groups, fields and hashes are to be added.
    pub fn begin(&mut self, time_us: i64, source: u32, kind: u16) {
        (self.time_us, self.source, self.kind) = (time_us, source, kind);
        self.groups.clear();
        self.distinct.clear();
        self.fields.clear();
    }

    /// Adds what `show` shows of it to an aggregate.
    #[inline]
    fn record(&self, aggregate: &mut Aggregate, show: &Projection) {
        aggregate.begin_event(self.source, self.kind);
        for &(id, value) in &self.fields {
            if show.shows_field(id) {
                aggregate.record_field(id, value);
            }
        }
        for &(slot, hash) in &self.distinct {
            if show.shows_distinct(slot) {
                aggregate.record_distinct(slot, hash);
            }
        }
    }
}

/// Why a result came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The watermark has reached its end, or the input has; whoever merges the shards knows
    /// from the slowest watermark which of the two.
    Due,
    /// It is final already, and late events within the allowed lateness have changed it. The
    /// arrival and the watermark they were judged by order revisions the same way everywhere.
    Late {
        /// Arrival of these events, monotonic ns ...
        arrival_ns: u64,
        /// ... and the lane they came by, for two lanes may give the same arrival.
        lane: u32,
        /// The watermark then.
        watermark_us: i64,
    },
}

/// What one shard knows of one group of one window.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Index of the window in [`Layout::windows`].
    pub window: usize,
    /// Number of the group in the family's table of names.
    pub group: u32,
    /// Start, microseconds, inclusive.
    pub start_us: i64,
    /// End, microseconds, exclusive.
    pub end_us: i64,
    /// Why it came out.
    pub trigger: Trigger,
    /// It was open when the daemon started, so that events of it may be missing.
    pub partial: bool,
    /// Sessions: 0 for the first result, else one more than the highest that it replaces.
    /// Other windows are numbered where the shards are merged.
    pub revision: u32,
    /// Sessions: bounds of published results that this one takes the place of, when they
    /// differ from its own.
    pub replaces: Vec<(i64, i64)>,
    /// All events of it.
    pub aggregate: Aggregate,
}

/// How much may be done before others have their turn, in merged slices and results. The last
/// thing begun is always done, so that there is progress.
#[derive(Clone, Copy, Debug)]
pub struct Budget(i64);

impl Budget {
    /// So much.
    pub fn new(units: i64) -> Self {
        Self(units)
    }

    /// Whether something may be begun that costs `units`.
    fn spend(&mut self, units: i64) -> bool {
        let left = self.0 > 0;
        if left {
            self.0 -= units.max(1);
        }
        left
    }
}

/// A set of windows by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSet([u64; MAX_WINDOWS / 64]);

impl WindowSet {
    /// Adds a window.
    pub fn insert(&mut self, window: usize) {
        self.0[window / 64] |= 1 << (window % 64);
    }

    /// Whether it has a window.
    pub fn contains(&self, window: usize) -> bool {
        self.0[window / 64] >> (window % 64) & 1 == 1
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&bits| bits == 0)
    }

    /// The windows in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MAX_WINDOWS).filter(|&window| self.contains(window))
    }
}

/// The largest multiple of `step` that is not above `t` (`step > 0`); saturates at the ends of
/// time.
pub fn floor_to(t: i64, step: i64) -> i64 {
    t.div_euclid(step).saturating_mul(step)
}
