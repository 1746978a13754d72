//! The same stages in one thread on a virtual clock: the pipeline as a simulation that reruns
//! from a seed. Nobody sleeps; the caller decides who moves and how time passes.

use super::clock::Now;
use super::stage::{Progress, Stage};

/// Stages and a clock that moves only when told to.
pub struct Inline {
    /// `None` once a stage is done and dropped, which closes its outputs.
    stages: Vec<Option<Box<dyn Stage>>>,
    now: Now,
}

impl Inline {
    /// Stages at rest at `now`.
    pub fn new(stages: Vec<Box<dyn Stage>>, now: Now) -> Self {
        Self { stages: stages.into_iter().map(Some).collect(), now }
    }

    /// The virtual time.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Lets time pass on both clocks.
    pub fn pass(&mut self, ns: u64) {
        self.now.mono_ns += ns;
        self.now.wall_us = self.now.wall_us.saturating_add((ns / 1_000) as i64);
    }

    /// How many stages there are, done ones included.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Gives one stage one turn; says whether it worked (a stage that is done has).
    pub fn turn(&mut self, which: usize) -> bool {
        let now = self.now;
        let Some(stage) = self.stages[which].as_mut() else {
            return false;
        };
        match stage.poll(now) {
            Progress::Worked => true,
            Progress::Idle { .. } => false,
            Progress::Done => {
                self.stages[which] = None;
                true
            }
        }
    }

    /// Turns all stages until nobody has anything to do; says whether anybody had.
    pub fn settle(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut worked = false;
            for which in 0..self.stages.len() {
                worked |= self.turn(which);
            }
            if !worked {
                return any;
            }
            any = true;
        }
    }

    /// Whether all stages are done.
    pub fn is_done(&self) -> bool {
        self.stages.iter().all(Option::is_none)
    }
}
