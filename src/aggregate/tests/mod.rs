//! Properties against naive exact computations, and of the whole [`Aggregate`].

mod distinct;
mod moments;
mod quantile;
mod top;

use super::fields::SCANNED_FIELDS;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Random numbers that rerun from a seed: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In (0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Mean 0, standard deviation 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Deals `values` out to random parts and merges these two by two, in random order.
pub(super) fn merged_in_a_random_tree<T: Default, V: Copy>(
    seed: u64,
    values: &[V],
    record: impl Fn(&mut T, V),
    merge: impl Fn(&mut T, &T),
) -> T {
    let mut random = Random(seed);
    let mut parts: Vec<T> = (0..=random.below(12)).map(|_| T::default()).collect();
    for &value in values {
        let part = random.below(parts.len());
        record(&mut parts[part], value);
    }
    while parts.len() > 1 {
        let from = parts.swap_remove(random.below(parts.len()));
        let to = random.below(parts.len());
        merge(&mut parts[to], &from);
    }
    parts.remove(0)
}

/// Any finite value: all bit patterns, and the awkward ones more often.
pub(super) fn any_finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
        4 => -1e6..1e6,
        2 => (-100i32..100).prop_map(f64::from),
        1 => prop::sample::select(vec![0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, f64::MAX, f64::MIN]),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Event {
    source: u32,
    kind: u16,
    /// Bit i: has field i.
    fields: u8,
    x: f64,
}

impl Event {
    fn values(self) -> impl Iterator<Item = (u32, f64)> {
        let present = (0..8).filter(move |i| self.fields >> i & 1 == 1);
        present.map(move |i| (i * 7, self.x + f64::from(i)))
    }
}

fn apply(aggregate: &mut Aggregate, event: Event) {
    aggregate.begin_event(event.source, event.kind);
    for (field, x) in event.values() {
        aggregate.record_field(field, x);
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    (0u32..30, 0u16..6, any::<u8>(), -1e3..1e3).prop_map(|(source, kind, fields, x)| Event {
        source,
        kind,
        fields,
        x,
    })
}

fn check(aggregate: &Aggregate, events: &[Event]) -> Result<(), TestCaseError> {
    let mut sources = BTreeMap::<u32, u64>::new();
    let mut kinds = BTreeMap::<u16, u64>::new();
    let mut fields = BTreeMap::<u32, Vec<f64>>::new();
    for event in events {
        *sources.entry(event.source).or_default() += 1;
        *kinds.entry(event.kind).or_default() += 1;
        for (field, x) in event.values() {
            fields.entry(field).or_default().push(x);
        }
    }
    prop_assert_eq!(aggregate.event_count(), events.len() as u64);
    prop_assert_eq!(aggregate.is_empty(), events.is_empty());
    prop_assert_eq!(aggregate.types().collect::<BTreeMap<_, _>>(), kinds);
    let all_sources: BTreeSet<u32> = sources.keys().copied().collect();
    let mut expected: Vec<_> = sources.into_iter().collect();
    expected.sort_by_key(|&(id, n)| (std::cmp::Reverse(n), id));
    expected.truncate(10);
    prop_assert_eq!(aggregate.top(10), expected);
    prop_assert_eq!(aggregate.sources().collect::<BTreeSet<_>>(), all_sources);

    let found: BTreeMap<_, _> = aggregate.fields().collect();
    let ids = |ids: Vec<&u32>| ids.into_iter().copied().collect::<Vec<_>>();
    prop_assert_eq!(ids(found.keys().collect()), ids(fields.keys().collect()));
    prop_assert!(aggregate.field(999).is_none());
    for (field, mut values) in fields {
        values.sort_by(f64::total_cmp);
        let stats = aggregate.field(field).expect("listed above");
        let (m, last) = (&stats.moments, values.len() - 1);
        prop_assert_eq!(m.count(), values.len() as u64);
        prop_assert_eq!((m.min(), m.max()), (values[0], values[last]));
        let sum: f64 = values.iter().sum();
        prop_assert!((m.sum() - sum).abs() <= 1e-9);
        prop_assert_eq!(stats.quantile(0.0), Some(values[0]));
        prop_assert_eq!(stats.quantile(1.0), Some(values[last]));
        let (p50, exact) = (stats.quantile(0.5).unwrap(), values[last / 2]);
        prop_assert!((p50 - exact).abs() <= 0.01 * exact.abs());
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_aggregate_counts_what_a_naive_one_counts_however_it_was_merged(
        events in prop::collection::vec(any_event(), 0..300),
        seed: u64,
    ) {
        let merged: Aggregate =
            merged_in_a_random_tree(seed, &events, apply, Aggregate::merge);
        check(&merged, &events)?;
    }

    #[test]
    fn a_cleared_aggregate_is_as_good_as_new(
        before in prop::collection::vec(any_event(), 0..300),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut used = Aggregate::new();
        before.iter().for_each(|&event| apply(&mut used, event));
        used.clear();
        check(&used, &[])?;
        events.iter().for_each(|&event| apply(&mut used, event));
        check(&used, &events)?;
    }
}

#[test]
fn the_same_stream_after_clear_takes_no_more_memory() {
    let mut random = Random(1);
    let events: Vec<Event> = (0..5_000)
        .map(|i| Event {
            source: i % 3_000,
            kind: (i % 4) as u16,
            fields: 1 << (i % 4),
            x: 50.0 + 5.0 * random.normal(),
        })
        .collect();
    let mut aggregate = Aggregate::new();
    events.iter().for_each(|&event| apply(&mut aggregate, event));
    let size_bytes = aggregate.size_bytes();
    for _ in 0..3 {
        aggregate.clear();
        events.iter().for_each(|&event| apply(&mut aggregate, event));
        assert!(aggregate.size_bytes() <= size_bytes);
    }
}

#[test]
fn what_is_no_longer_used_goes_at_the_second_clear() {
    let mut aggregate = Aggregate::new();
    for i in 0..4_000 {
        aggregate.begin_event(i, 0);
        aggregate.record_field(i % 50, f64::from(i));
    }
    let used_bytes = aggregate.size_bytes();
    aggregate.clear();
    aggregate.clear();
    // The vectors stay, the tables and pages do not.
    assert!(aggregate.size_bytes() < used_bytes / 5);
    assert_eq!(aggregate.fields().count(), 0);
}

#[test]
fn a_field_gets_its_own_memory_back() {
    let record = |aggregate: &mut Aggregate, fields: std::ops::Range<u32>| {
        for i in 0..1_000 {
            aggregate.begin_event(0, 0);
            fields.clone().for_each(|field| aggregate.record_field(field, f64::from(i)));
        }
        aggregate.size_bytes()
    };
    let mut aggregate = Aggregate::new();
    record(&mut aggregate, 0..2);
    aggregate.clear();
    let with_unused_bytes = record(&mut aggregate, 1..2);
    aggregate.clear();
    assert!(record(&mut aggregate, 1..2) < with_unused_bytes);
}

#[test]
fn a_session_of_one_source_and_one_field_is_small() {
    let mut aggregate = Aggregate::new();
    for i in 0..1_000 {
        aggregate.begin_event(7, 0);
        aggregate.record_field(0, 40.0 + f64::from(i % 40));
    }
    let size_bytes = aggregate.size_bytes();
    assert!(size_bytes <= 700, "{size_bytes} bytes");
}

/// There may be a million of them.
#[test]
fn a_group_of_one_source_one_type_and_one_field_is_one_piece() {
    let mut aggregate = Aggregate::new();
    for x in [3.0, 1.0] {
        aggregate.begin_event(7, 2);
        aggregate.record_field(0, x);
    }
    assert_eq!(aggregate.size_bytes(), size_of::<Aggregate>());
    assert!(size_of::<Aggregate>() <= 136);
    // A second source, type or field is one more, and the first ones stay.
    aggregate.begin_event(8, 1);
    aggregate.record_field(5, 4.0);
    assert!(aggregate.size_bytes() > size_of::<Aggregate>());
    assert_eq!(aggregate.top(2), [(7, 2), (8, 1)]);
    assert_eq!(aggregate.types().collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    assert_eq!(aggregate.field(0).map(|stats| stats.moments.sum()), Some(4.0));
    assert_eq!(aggregate.field(5).map(|stats| stats.moments.sum()), Some(4.0));
}

/// Few and many fields, in any order, across a clear and a merge: each keeps its own values.
#[test]
fn many_fields_keep_their_own_values() {
    for fields in [5, SCANNED_FIELDS, SCANNED_FIELDS + 1, 300] {
        let mut random = Random(fields as u64);
        let (mut a, mut b) = (Aggregate::new(), Aggregate::new());
        let mut expected: BTreeMap<u32, (u64, f64)> = BTreeMap::new();
        for round in 0..3 {
            a.clear();
            b.clear();
            expected.clear();
            for n in 0..2_000 {
                let field = (random.below(fields) * 7) as u32;
                let part = if random.below(2) == 0 { &mut a } else { &mut b };
                part.begin_event(0, 0);
                part.record_field(field, f64::from(n));
                let (count, sum) = expected.entry(field).or_default();
                *count += 1;
                *sum += f64::from(n);
            }
            let mut both = if round == 0 { a.clone() } else { Aggregate::new() };
            if round > 0 {
                both.merge(&a);
            }
            both.merge(&b);
            let got: BTreeMap<_, _> =
                both.fields().map(|(id, stats)| (id, (stats.moments.count(), stats.moments.sum()))).collect();
            assert_eq!(got, expected, "{fields} fields");
            assert!(expected.keys().all(|&id| both.field(id).is_some()));
            assert!(both.field(1).is_none());
        }
    }
}
