//! Names of members of events whose shape is known: they stay from event to event, so that a
//! member's name is a number instead of a search or a copy.

/// The names, each once.
#[derive(Debug, Default)]
pub(in crate::event) struct Known {
    text: String,
    /// Where in the text a name begins and ends.
    names: Vec<(u32, u32)>,
    /// How often all of them were forgotten.
    generation: u32,
}

impl Known {
    /// The number of a name, which gets one if it has none.
    pub(in crate::event) fn number(&mut self, name: &str) -> u32 {
        let known = (0..self.names.len() as u32).find(|&n| self.get(n) == name);
        known.unwrap_or_else(|| {
            let start = self.text.len() as u32;
            self.text.push_str(name);
            self.names.push((start, self.text.len() as u32));
            self.names.len() as u32 - 1
        })
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &str {
        let name = self.names.get(number as usize);
        name.and_then(|&(start, end)| self.text.get(start as usize..end as usize)).unwrap_or("")
    }

    /// Bytes of all names.
    pub(in crate::event) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    pub(in crate::event) fn forget(&mut self) {
        self.text.clear();
        self.names.clear();
        self.generation = self.generation.wrapping_add(1);
    }
}
