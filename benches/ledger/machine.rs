//! The machine that the figures were measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::nats;
use crate::postgres::Cluster;

/// The machine and the programs on it.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    /// The load average of one minute at the start. Other programs distort the figures.
    load: String,
    nats_server: Option<String>,
    postgres: Option<String>,
    commit: Option<String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let proc =
            |file: &str| fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kib = field(&proc("meminfo"), "MemTotal");
        let kib = kib.and_then(|kib| kib.trim_end_matches(" kB").parse::<u64>().ok());
        let first = |text: String| {
            text.split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            cpu: field(&proc("cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: cores(),
            memory_gib: kib.unwrap_or_default() / (1024 * 1024),
            kernel: first(proc("sys/kernel/osrelease")),
            load: first(proc("loadavg")),
            nats_server: first_line(Command::new(nats::binary()).arg("--version")),
            postgres: Cluster::version(),
            commit: first_line(Command::new("git").args(["describe", "--always", "--dirty"])),
        }
    }

    pub(crate) fn print(&self) {
        let or_none =
            |text: &Option<String>| text.clone().unwrap_or_else(|| "not found".to_owned());
        println!(
            "machine: {}, {} cores, {} GiB, kernel {}, load {} at the start",
            self.cpu, self.cores, self.memory_gib, self.kernel, self.load
        );
        println!(
            "with: {}; {}; commit {}",
            or_none(&self.nats_server),
            or_none(&self.postgres),
            or_none(&self.commit)
        );
        if self.postgres.is_none() {
            println!(
                "PostgreSQL is not found, so its figures are left out: install `postgresql` (15 or later)"
            );
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Returns the first line that a command prints, or `None` if it is missing or fails.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}
