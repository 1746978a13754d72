//! Which fields and distinct counts a window shows. Windows that share slices may show
//! different ones: slices keep the union, and a window takes its own when it is merged.

/// A choice of fields and of dimensions whose distinct values are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// Numbers of the fields, ascending; `None`: all.
    fields: Option<Box<[u32]>>,
    /// Slots of the dimensions, ascending.
    distinct: Box<[u16]>,
}

impl Projection {
    /// All fields if `fields` is `None`, and these distinct counts.
    pub fn new(fields: Option<Vec<u32>>, mut distinct: Vec<u16>) -> Self {
        let fields = fields.map(|mut fields| {
            fields.sort_unstable();
            fields.dedup();
            fields.into()
        });
        distinct.sort_unstable();
        distinct.dedup();
        Self { fields, distinct: distinct.into() }
    }

    /// Whether every field is shown.
    pub fn shows_all_fields(&self) -> bool {
        self.fields.is_none()
    }

    /// Whether a field is shown.
    #[inline]
    pub fn shows_field(&self, id: u32) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.binary_search(&id).is_ok())
    }

    /// Whether a dimension is counted.
    #[inline]
    pub fn shows_distinct(&self, slot: u16) -> bool {
        self.distinct.binary_search(&slot).is_ok()
    }

    /// What any of `all` shows.
    pub fn union<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let fields = all.clone().all(|p| p.fields.is_some());
        let fields = fields.then(|| all.clone().flat_map(|p| p.fields.iter().flatten().copied()).collect());
        Self::new(fields, all.flat_map(|p| p.distinct.iter().copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_shows_what_any_of_them_shows() {
        let some = Projection::new(Some(vec![5, 1]), vec![2]);
        let more = Projection::new(Some(vec![3]), vec![0, 2]);
        let both = Projection::union([&some, &more].into_iter());
        assert_eq!(both, Projection::new(Some(vec![1, 3, 5]), vec![0, 2]));
        assert!(both.shows_field(3) && !both.shows_field(2));
        assert!(both.shows_distinct(2) && !both.shows_distinct(1));
        let all = Projection::union([&some, &Projection::default()].into_iter());
        assert!(all.shows_field(77) && all.shows_distinct(2));
        assert!(!Projection::new(Some(vec![]), vec![]).shows_field(0), "no fields at all");
    }
}
