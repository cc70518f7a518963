//! How the log answers: the scheduler draws what becomes of each call.

use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Appended;
use tokio::sync::oneshot::Sender;

use super::World;
use crate::simulation::faults::Faults;
use crate::simulation::log::{self, Call, Caller, Fate, NewAppend};

impl World {
    /// Answers a call, in a faulty way if faults are allowed.
    pub(crate) fn answer(&mut self, caller: Caller, faulty: bool) {
        let call = self.log.take(caller).unwrap();
        let fails = faulty && self.faults.fails(&mut self.rng);
        match call {
            Call::Append(append, answer) => {
                let fate = if fails {
                    self.counts.faulty_appends += 1;
                    Faults::fate(&mut self.rng, append.records.len())
                } else {
                    Fate::Acknowledged
                };
                let count = append.records.len();
                self.note(format_args!("append of {count} by {caller:?}: {fate:?}"));
                self.append(caller, append, fate, answer);
            }
            Call::Acknowledge(appended, answer) => {
                self.note(format_args!("late acknowledgement to {caller:?}"));
                drop(answer.send(appended));
            }
            Call::Get(positions, answer) => {
                self.note(format_args!(
                    "get {positions:?} by {caller:?}: fails {fails}"
                ));
                let records = self.log.records_after(0);
                let at = |at: u64| records[usize::try_from(at - 1).unwrap()].clone();
                let found = positions
                    .iter()
                    .map(|position| at(position.get()))
                    .collect();
                drop(answer.send(if fails {
                    Err(log::unavailable())
                } else {
                    Ok(found)
                }));
            }
            Call::Tail(after, answer) => {
                self.note(format_args!(
                    "tail after {after} by {caller:?}: fails {fails}"
                ));
                drop(answer.send(if fails {
                    Err(log::unavailable())
                } else {
                    Ok(())
                }));
            }
            Call::Next(after, records_max, answer) => {
                let mut records = self.log.records_after(after.get());
                let most = records.len().min(records_max);
                if self.rng.bool() {
                    records.truncate(self.rng.usize(1..=most));
                }
                records.truncate(most);
                self.note(format_args!(
                    "{} records after {after} to {caller:?}",
                    records.len()
                ));
                drop(answer.send(records));
            }
            Call::Head(answer) => {
                self.note(format_args!("head for {caller:?}: fails {fails}"));
                let head = Position::new(self.log.head());
                drop(answer.send(if fails {
                    Err(log::unavailable())
                } else {
                    Ok(head)
                }));
            }
        }
    }

    fn append(&mut self, caller: Caller, append: NewAppend, fate: Fate, answer: Sender<Appended>) {
        let count = append.records.len();
        let all = |error| vec![Err(error); count];
        let appended = match fate {
            Fate::Acknowledged => self.write(&append),
            Fate::Delayed => {
                let appended = self.write(&append);
                return self.log.put(caller, Call::Acknowledge(appended, answer));
            }
            Fate::Torn(written, one_more) => {
                let guard = append.guard;
                let (first, rest) = append.records.split_at(written);
                let records = first.to_vec();
                let mut appended = self.write(&NewAppend { records, guard });
                let last = appended.last().and_then(|last| last.as_ref().ok()).copied();
                let overtaken = last.is_none() && written != 0;
                if let (true, Some(next)) = (one_more && !overtaken, rest.first()) {
                    let mut guard = guard;
                    if let (Some(guard), Some(last)) = (&mut guard, last) {
                        guard.after = last;
                    }
                    let records = vec![next.clone()];
                    self.write(&NewAppend { records, guard });
                }
                appended.resize(count, Err(log::unconfirmed()));
                appended
            }
            Fate::Unconfirmed => {
                self.write(&append);
                all(log::unconfirmed())
            }
            Fate::Lost => all(log::unconfirmed()),
            Fate::Late => {
                self.log.send_late(append);
                all(log::unconfirmed())
            }
            Fate::Unavailable => all(log::unavailable()),
            Fate::Refused => all(log::refusing()),
        };
        drop(answer.send(appended));
    }

    fn write(&mut self, append: &NewAppend) -> Appended {
        let before = self.log.head();
        let at = Timestamp::from_micros(self.time.now_us() + self.log_skew_us).unwrap();
        let appended = self.log.write(append, at);
        let records = self.log.records_after(before);
        for record in &records {
            let (position, body) = (record.position, record.payload.len());
            self.note(format_args!(
                "{position} is {} at {at}: {body} bytes",
                record.subject
            ));
        }
        self.oracle.read(&records);
        appended
    }

    /// Writes an append whose caller has given up, or loses it.
    pub(crate) fn write_late(&mut self) {
        let number = self.rng.usize(..self.log.late_count());
        let append = self.log.take_late(number);
        let written = self.rng.bool();
        self.note(format_args!("a late append: written {written}"));
        if written {
            self.write(&append);
        }
    }
}
