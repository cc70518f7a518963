//! Reads events from a file or a pipe: one event, an array, or a sequence.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;

use anyhow::Context as _;
use serde_json::Deserializer;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::domain::limits::{BATCH_EVENTS_MAX, REQUEST_BYTES_MAX};

/// The size of a batch in bytes. Leaves room for the last event and for separators.
const BATCH_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;

type Event = anyhow::Result<String>;

/// The events of an input, in batches that the API accepts.
pub(super) struct Batches {
    events: Receiver<Event>,
    failed: Option<anyhow::Error>,
}

impl Batches {
    /// Opens a file, or stdin as `-`.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let (name, input): (_, Box<dyn BufRead + Send>) = if file == Path::new("-") {
            ("stdin".to_owned(), Box::new(BufReader::new(io::stdin())))
        } else {
            let name = file.display().to_string();
            let opened = File::open(file).with_context(|| format!("cannot open {name}"))?;
            (name, Box::new(BufReader::new(opened)))
        };
        let (sender, events) = mpsc::channel(BATCH_EVENTS_MAX);
        // A thread and not a task: the process must be able to end while a pipe is silent.
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        thread::spawn(move || {
            if let Err(error) = read(input, &sender) {
                let what = if error.is_io() {
                    format!("cannot read {name}")
                } else {
                    format!("{name} holds something that is not JSON")
                };
                let error = anyhow::Error::from(error).context(what);
                drop(sender.blocking_send(Err(error)));
            }
        });
        let failed = None;
        Ok(Self { events, failed })
    }

    /// Waits for an event, and returns it together with those that have arrived already. Returns an
    /// error of the input only after all events before it.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<String>>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(first) = self.events.recv().await else {
            return Ok(None);
        };
        let mut batch = vec![first?];
        let mut bytes = 0;
        while batch.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
            match self.events.try_recv() {
                Ok(Ok(event)) => {
                    bytes += event.len();
                    batch.push(event);
                }
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(_empty_or_ended) => break,
            }
        }
        Ok(Some(batch))
    }
}

fn read(input: Box<dyn BufRead + Send>, events: &Sender<Event>) -> serde_json::Result<()> {
    for value in Deserializer::from_reader(input).into_iter::<Box<RawValue>>() {
        let value = value?;
        let one_or_more = if value.get().starts_with('[') {
            serde_json::from_str(value.get())?
        } else {
            vec![value]
        };
        for event in one_or_more {
            if events.blocking_send(Ok(event.get().to_owned())).is_err() {
                // The receiver is gone.
                return Ok(());
            }
        }
    }
    Ok(())
}
