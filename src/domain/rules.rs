//! Versions of the rules that decide verdicts, and the position on a log from which each one holds.
//!
//! A log begins under the first version. A `ledger.rules` record switches all later records to a newer
//! one, so every node that folds the log changes its rules at the same position.

use crate::domain::ids::Position;

/// A version of the rules that this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Rules {
    /// The version with which every log begins.
    V1 = 1,
    /// Follows the bindings of `CloudEvents` for NATS and for `data_base64`, and records who
    /// emitted an event. Corrects the time of a step that lies before the session or agent was
    /// created.
    V2 = 2,
}

impl Rules {
    /// Every version, oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];
    /// The newest version that this build knows.
    pub const LATEST: Self = Self::V2;

    /// The version with this number; `None` if this build does not know it.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|rules| rules.number() == number)
    }

    /// The number of the version, as events and the read model store it.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Which rules hold at which position of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RulesHistory {
    /// Where each version after the first was switched on, oldest first; `None` if it was not.
    switched: [Option<Position>; Rules::ALL.len() - 1],
}

impl RulesHistory {
    /// The rules for the next record.
    pub fn current(&self) -> Rules {
        self.at(Position::new(u64::MAX))
    }

    /// The rules for the record at a position.
    pub fn at(&self, position: Position) -> Rules {
        let mut newer = Rules::ALL[1..].iter().copied().zip(self.switched);
        newer
            .rfind(|(_, since)| since.is_some_and(|since| since < position))
            .map_or(Rules::V1, |(rules, _)| rules)
    }

    /// Switches to a newer version after a position. The versions in between are switched on with it.
    pub fn switch(&mut self, to: Rules, after: Position) {
        for (rules, since) in Rules::ALL.into_iter().skip(1).zip(&mut self.switched) {
            if rules <= to {
                since.get_or_insert(after);
            }
        }
    }

    /// Where the versions after the first were switched on, oldest first.
    pub fn switches(&self) -> impl Iterator<Item = Position> {
        self.switched.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_after_the_record_that_switched_it_on() {
        let mut history = RulesHistory::default();
        assert_eq!(history.current(), Rules::V1);
        history.switch(Rules::V2, Position::new(7));
        let at = |position| history.at(Position::new(position));
        assert_eq!((at(1), at(7), at(8)), (Rules::V1, Rules::V1, Rules::V2));
        assert_eq!(history.current(), Rules::V2);
        let before = history;
        history.switch(Rules::V2, Position::new(9));
        assert_eq!(history, before, "a late copy changes nothing");
    }

    #[test]
    fn numbers_lead_back() {
        for rules in Rules::ALL {
            assert_eq!(Rules::from_number(rules.number()), Some(rules));
        }
        assert_eq!(Rules::from_number(Rules::LATEST.number() + 1), None);
    }
}
