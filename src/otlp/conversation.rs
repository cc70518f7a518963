//! The spans of one conversation within a request, in the order of their times.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::limits::OTLP_ANCESTORS_MAX;
use crate::domain::{AgentId, SessionId, Timestamp};
use crate::otlp::span::{Agent, Kind, Span, SpanId, Spans};

/// A conversation of a request.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) id: &'a SessionId,
    /// Its spans, by their start. No span is in it twice.
    pub(super) spans: Vec<&'a Span>,
}

/// A moment of a conversation at which a span begins or ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) at: Timestamp,
    pub(super) edge: Edge,
    pub(super) span: &'a Span,
}

/// Which end of a span a step is. At the same time, spans begin before others end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    Begins,
    Ends,
}

impl Edge {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Begins => "start",
            Self::Ends => "end",
        }
    }
}

/// All spans of a request by their ids, also those without a conversation.
#[derive(Debug)]
pub(super) struct Family<'a>(HashMap<SpanId, &'a Span>);

impl<'a> Family<'a> {
    pub(super) fn of(spans: &'a Spans) -> Self {
        Self(spans.all.iter().map(|span| (span.id, span)).collect())
    }

    /// The agent that takes a conversation over with this span: it runs an agent below a tool that passes the
    /// conversation on. Both must be in the request.
    pub(super) fn taking_over(&self, span: &Span) -> Option<Agent> {
        if span.kind != Kind::InvokeAgent {
            return None;
        }
        let mut above = span.parent;
        for _ in 0..OTLP_ANCESTORS_MAX {
            let ancestor = self.0.get(&above?)?;
            match &ancestor.kind {
                // A tool passes on its own conversation only.
                Kind::Transfer(_)
                    if ancestor.conversation.is_some()
                        && ancestor.conversation != span.conversation =>
                {
                    return None;
                }
                Kind::Transfer(to) => {
                    let own = span.agent.clone();
                    let named = |id: AgentId| Agent { id, name: None };
                    return own.or_else(|| to.clone().map(named));
                }
                Kind::InvokeAgent => return None,
                Kind::Other => above = ancestor.parent,
            }
        }
        None
    }
}

impl<'a> Conversation<'a> {
    /// The conversations of a request, in the order of their ids.
    pub(super) fn all(spans: &'a Spans) -> Vec<Self> {
        let mut seen = HashSet::new();
        let mut grouped: BTreeMap<&SessionId, Vec<&Span>> = BTreeMap::new();
        for span in &spans.all {
            if let Some(conversation) = &span.conversation
                && seen.insert(span.id)
            {
                grouped.entry(conversation).or_default().push(span);
            }
        }
        let sorted = grouped.into_iter().map(|(id, mut spans)| {
            spans.sort_unstable_by_key(|span| (span.start, span.id));
            Self { id, spans }
        });
        sorted.collect()
    }

    /// The beginnings and ends of its spans, in the order of their times.
    pub(super) fn steps(&self) -> Vec<Step<'a>> {
        let spans = self.spans.iter().copied();
        let mut steps: Vec<Step<'a>> = spans
            .flat_map(|span| {
                let step = |at, edge| Step { at, edge, span };
                [step(span.start, Edge::Begins), step(span.end, Edge::Ends)]
            })
            .collect();
        steps.sort_unstable_by_key(|step| (step.at, step.edge, step.span.id));
        steps
    }

    /// The agent of the session that a span opens: its own, else the first that the conversation names, else
    /// the service.
    pub(super) fn agent(&self, span: &Span) -> Option<Agent> {
        let own = span.agent.as_ref();
        let first = || self.spans.iter().find_map(|span| span.agent.as_ref());
        let service = || {
            let id = span.service.clone()?;
            Some(Agent { id, name: None })
        };
        own.or_else(first).cloned().or_else(service)
    }
}
