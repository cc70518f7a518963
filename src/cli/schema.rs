//! `schema`: prints the documents that describe the events and the APIs of the ledger.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::{CommandResult, Usage, output};
use crate::http::openapi;
use crate::wire::schema::{self, Document};

const AFTER_HELP: &str = "\
Examples:
  session-ledger schema                        the names of all documents
  session-ledger schema session.created        the JSON Schema of an event type
  session-ledger schema openapi                the HTTP API
  session-ledger schema --write ./schemas      all of them, as files";

/// Print or write the JSON Schemas of events, the AsyncAPI and the OpenAPI document.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Schema {
    /// Document to print: an event type, `verdict`, `verdict_gap`, `asyncapi` or `openapi`;
    /// by default the names of all documents
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Write every document below this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

impl Schema {
    pub(super) fn run(self) -> CommandResult {
        let mut documents = schema::documents();
        documents.push(Document {
            path: "openapi.json".to_owned(),
            text: openapi::text(),
        });
        if let Some(dir) = self.write {
            for document in documents {
                let path = dir.join(&document.path);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)
                        .with_context(|| format!("cannot create {}", parent.display()))?;
                }
                fs::write(&path, document.text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                output::note(format_args!("wrote {}", path.display()));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let Some(name) = self.name else {
            for document in &documents {
                output::line(name_of(document))?;
            }
            return Ok(ExitCode::SUCCESS);
        };
        let wanted = |document: &&Document| name_of(document) == name || document.path == name;
        let Some(document) = documents.iter().find(wanted) else {
            let known: Vec<&str> = documents.iter().map(name_of).collect();
            let known = known.join(", ");
            return Err(Usage(format!("there is no document {name:?}; there are {known}")).into());
        };
        output::raw(&document.text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The name of a document: its path without directory and extension.
fn name_of(document: &Document) -> &str {
    let file = document.path.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".json").unwrap_or(file)
}
