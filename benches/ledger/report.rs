//! Reports: tables for people, and JSON for programs.

use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::machine::Machine;
use crate::stats::Figure;

const HEADS: [&str; 9] = [
    "what",
    "unit",
    "median",
    "min..max",
    "compared with",
    "its figure",
    "ratio",
    "must",
    "holds",
];
/// The columns with text, which are aligned to the left.
const WORDS: [usize; 4] = [0, 1, 4, 7];

/// All figures of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    tables: Vec<Section>,
}

/// The figures of one subject.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    subject: &'static str,
    title: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One figure, and the figures that it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    figure: Figure,
    must: Option<Must>,
    against: Vec<Against>,
}

/// A figure of another program, or of the ledger in another case, to compare with.
#[derive(Debug, Serialize)]
struct Against {
    name: String,
    /// `None` if the other program is missing.
    value: Option<f64>,
    /// The target for the ratio of our figure to this one.
    must: Option<Must>,
}

/// A target.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Must {
    AtLeast(f64),
    AtMost(f64),
}

impl Must {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }

    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => bound <= value,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, figure: Figure) -> Self {
        Self {
            what: what.into(),
            unit,
            figure,
            must: None,
            against: Vec::new(),
        }
    }

    /// Sets the target of the figure itself.
    pub(crate) fn must(mut self, must: Must) -> Self {
        self.must = Some(must);
        self
    }

    /// Adds a figure to compare with, which may be missing.
    pub(crate) fn against(mut self, name: impl Into<String>, value: Option<f64>) -> Self {
        self.against.push(Against {
            name: name.into(),
            value,
            must: None,
        });
        self
    }

    /// Sets the target of the ratio to the last figure that was added.
    pub(crate) fn ratio_must(mut self, must: Must) -> Self {
        if let Some(last) = self.against.last_mut() {
            last.must = Some(must);
        }
        self
    }

    /// Returns the median of the figure.
    pub(crate) fn median(&self) -> f64 {
        self.figure.median
    }
}

impl Section {
    pub(crate) fn new(subject: &'static str, title: impl Into<String>) -> Self {
        Self {
            subject,
            title: title.into(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(HEADS);
        for row in &self.rows {
            for line in row.lines() {
                table.add_row(line);
            }
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            if !WORDS.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{}: {}\n{}", self.subject, self.title, table.trim_fmt());
        for note in &self.notes {
            println!(" {note}");
        }
    }
}

impl Row {
    /// Returns a line with the figure and its first comparison, and a line for each other comparison.
    fn lines(&self) -> Vec<[String; 9]> {
        let Figure {
            median,
            min,
            max,
            rounds,
        } = self.figure;
        let spread = match rounds {
            1 => String::new(),
            _ => format!("{}..{}", number(min), number(max)),
        };
        let own = [
            self.what.clone(),
            self.unit.to_owned(),
            number(median),
            spread,
        ];
        let verdict = |must: Option<Must>, value: Option<f64>| {
            let text = must.map_or_else(String::new, Must::text);
            let holds = must.zip(value).map(|(must, value)| must.holds(value));
            [
                text,
                holds
                    .map_or("", |holds| if holds { "yes" } else { "NO" })
                    .to_owned(),
            ]
        };
        let mut lines = Vec::new();
        if self.must.is_some() || self.against.is_empty() {
            let [must, holds] = verdict(self.must, Some(median));
            lines.push(line(
                own.clone(),
                [String::new(), String::new(), String::new()],
                [must, holds],
            ));
        }
        for against in &self.against {
            let ratio = against.value.map(|value| median / value);
            let compared = [
                against.name.clone(),
                against.value.map_or_else(|| "-".to_owned(), number),
                ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            ];
            let own = if lines.is_empty() {
                own.clone()
            } else {
                Default::default()
            };
            lines.push(line(own, compared, verdict(against.must, ratio)));
        }
        lines
    }
}

fn line(own: [String; 4], compared: [String; 3], verdict: [String; 2]) -> [String; 9] {
    let [what, unit, median, spread] = own;
    let [name, value, ratio] = compared;
    let [must, holds] = verdict;
    [what, unit, median, spread, name, value, ratio, must, holds]
}

/// Formats a number with about three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        large if 100.0 <= large => grouped(value),
        middle if 10.0 <= middle => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Formats a number without a fraction, with digits in groups of three.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl Report {
    /// Starts a report, and prints the machine.
    pub(crate) fn new(machine: Machine) -> Self {
        machine.print();
        Self {
            machine,
            tables: Vec::new(),
        }
    }

    /// Adds a table, and prints it at once, so that a long run shows its first results.
    pub(crate) fn add(&mut self, section: Section) {
        section.print();
        self.tables.push(section);
    }

    pub(crate) fn write(&self, file: &Path) {
        let json = serde_json::to_vec_pretty(self).expect("a report is JSON");
        fs::write(file, json).unwrap();
    }
}
