//! Events from a file or a pipe: one, an array, or one after the other.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;

use anyhow::Context as _;
use serde_json::Deserializer;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::domain::limits::{BATCH_EVENTS_MAX, REQUEST_BYTES_MAX};

/// Bytes of a batch, with room for what separates its events.
const BATCH_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;

type Event = anyhow::Result<String>;

/// The events of an input, in requests of a size that the API takes.
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
        // A thread, not a task: a pipe that stays silent must not keep the process from ending.
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

    /// The next batch: what has arrived by now, or the first event to come. What came before a
    /// failure is handed out before it.
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
                // Nobody wants the rest.
                return Ok(());
            }
        }
    }
    Ok(())
}
