//! Events from a file or a pipe: one, an array, or one after the other.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde_json::value::RawValue;
use serde_json::{Deserializer, StreamDeserializer, de::IoRead};

use crate::domain::limits::{BATCH_EVENTS_MAX, REQUEST_BYTES_MAX};

/// Bytes of a batch, with room for what separates its events.
const BATCH_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;

type Values = StreamDeserializer<'static, IoRead<Box<dyn BufRead>>, Box<RawValue>>;

/// The events of an input, in requests of a size that the API takes.
pub(super) struct Batches {
    values: Values,
    /// Read, but not handed out yet, the last one first.
    pending: Vec<String>,
    name: String,
}

impl Batches {
    /// Opens a file, or stdin as `-`.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let input: Box<dyn BufRead> = if name == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let opened = File::open(file).with_context(|| format!("cannot open {name}"))?;
            Box::new(BufReader::new(opened))
        };
        Ok(Self {
            values: Deserializer::from_reader(input).into_iter(),
            pending: Vec::new(),
            name,
        })
    }

    /// The next batch. Blocks while the input does.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Vec<String>>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(event) = self.next_event()? else {
                break;
            };
            bytes += event.len() + 1;
            batch.push(event);
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn next_event(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Ok(Some(event));
            }
            let Some(value) = self.values.next() else {
                return Ok(None);
            };
            let not_json = || format!("{} holds something that is not JSON", self.name);
            let text = value.with_context(not_json)?.get().to_owned();
            if !text.starts_with('[') {
                return Ok(Some(text));
            }
            let events: Vec<Box<RawValue>> = serde_json::from_str(&text)?;
            let events = events.into_iter().rev();
            self.pending = events.map(|event| event.get().to_owned()).collect();
        }
    }
}
