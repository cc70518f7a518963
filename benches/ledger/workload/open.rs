//! The open sessions, and the choice of the session that an event concerns.

use std::collections::VecDeque;

use fastrand::Rng;

use super::event::Session;

/// This many of the most recently opened sessions count as new.
const NEW: usize = 50_000;
/// One event in this many concerns any open session. The others concern a new one.
const ANY_OF: u32 = 10;
/// The number of tries to find a new session that is still open, before any open one is chosen.
const LOOKS_MAX: u32 = 64;

/// The age of the session that an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ages {
    /// Nine of ten events concern one of the 50,000 sessions that opened last
    Young,
    /// Each concerns any open session
    Uniform,
}

/// The place of an open session.
enum Place {
    New(usize),
    Old(usize),
}

/// The open sessions.
pub(super) struct Open {
    ages: Ages,
    /// The most recently opened sessions, in order. `None` replaces a session that has ended.
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

    /// Returns a session, which stays open.
    pub(super) fn pick(&self, random: &mut Rng) -> Session {
        match self.place(random) {
            Place::New(index) => self.new[index].expect("the place holds an open session"),
            Place::Old(index) => self.old[index],
        }
    }

    /// Removes and returns a session, which ends.
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
