//! The sessions that are open, and which of them an event concerns.

use std::collections::VecDeque;

use fastrand::Rng;

use super::event::Session;

/// How many of the sessions that opened last count as new.
const NEW: usize = 50_000;
/// Of how many events one concerns any open session; the others concern a new one.
const ANY_OF: u32 = 10;
/// How often to look for a new session that is still open before any open one will do.
const LOOKS_MAX: u32 = 64;

/// How old the session is that an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ages {
    /// Nine of ten events concern one of the 50,000 sessions that opened last
    Young,
    /// Each concerns any open session
    Uniform,
}

/// Where an open session is kept.
enum Place {
    New(usize),
    Old(usize),
}

/// The open sessions.
pub(super) struct Open {
    ages: Ages,
    /// The sessions that opened last, in order; none where one has ended.
    new: VecDeque<Option<Session>>,
    alive: usize,
    old: Vec<Session>,
}

impl Open {
    pub(super) fn new(ages: Ages) -> Self {
        Self {
            ages,
            new: VecDeque::with_capacity(NEW + 1),
            alive: 0,
            old: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.alive + self.old.len()
    }

    pub(super) fn add(&mut self, session: Session) {
        self.new.push_back(Some(session));
        self.alive += 1;
        if NEW < self.new.len()
            && let Some(Some(old)) = self.new.pop_front()
        {
            self.alive -= 1;
            self.old.push(old);
        }
    }

    /// A session that goes on.
    pub(super) fn pick(&self, random: &mut Rng) -> Session {
        match self.place(random) {
            Place::New(index) => self.new[index].expect("the place holds an open session"),
            Place::Old(index) => self.old[index],
        }
    }

    /// A session that ends.
    pub(super) fn take(&mut self, random: &mut Rng) -> Session {
        match self.place(random) {
            Place::New(index) => {
                self.alive -= 1;
                self.new[index]
                    .take()
                    .expect("the place holds an open session")
            }
            Place::Old(index) => self.old.swap_remove(index),
        }
    }

    fn place(&self, random: &mut Rng) -> Place {
        let any = self.ages == Ages::Uniform || random.u32(..ANY_OF) == 0;
        if any && self.alive <= random.usize(..self.len()) {
            return Place::Old(random.usize(..self.old.len()));
        }
        for _ in 0..LOOKS_MAX {
            let index = random.usize(..self.new.len());
            if self.new[index].is_some() {
                return Place::New(index);
            }
        }
        if !self.old.is_empty() {
            return Place::Old(random.usize(..self.old.len()));
        }
        let open = self.new.iter().position(Option::is_some);
        Place::New(open.expect("some session is open"))
    }
}
