"""Sessions from traces: the exporter of OpenTelemetry, and a framework that names conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic_ai import Agent
from pydantic_ai.capabilities import Instrumentation
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

from servers import Server
from session_ledger import Ledger

CONVERSATION = "gen_ai.conversation.id"


class Twice(OTLPSpanExporter):
    """Sends each batch twice, as an exporter does whose answer was lost."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        super().export(spans)
        return super().export(spans)


@pytest.fixture(params=[Compression.NoCompression, Compression.Gzip])
def exporter(server: Server, request: pytest.FixtureRequest) -> Twice:
    """An exporter with no other settings than those that an operator gives."""
    return Twice(
        endpoint=f"{server.url}/v1/traces",
        headers={"authorization": f"Bearer {server.key}"},
        compression=request.param,
    )


@pytest.fixture
def provider(exporter: Twice) -> Iterator[TracerProvider]:
    """A provider that sends its spans to the ledger."""
    made = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    made.add_span_processor(BatchSpanProcessor(exporter))
    yield made
    made.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """A tracer of a program."""
    made = provider.get_tracer("test")
    assert isinstance(made, Tracer)
    return made


def test_spans_of_a_conversation_are_a_session(
    tracer: Tracer, provider: TracerProvider, ledger: Ledger, agent: str
) -> None:
    conversation = f"c-{agent}"
    attributes = {CONVERSATION: conversation, "gen_ai.agent.id": agent}
    with (
        tracer.start_as_current_span("invoke_agent", attributes=attributes),
        tracer.start_as_current_span("chat", attributes={CONVERSATION: conversation}),
    ):
        pass
    assert provider.force_flush()
    session = ledger.sessions.get(conversation)
    assert (session.status, session.agent_id) == ("active", agent)
    assert session.metadata == {"runtime": "opentelemetry", "service": "shop"}
    assert len(list(ledger.sessions.events(conversation))) == 1


def test_a_failed_root_is_the_outcome(
    tracer: Tracer, provider: TracerProvider, ledger: Ledger, agent: str
) -> None:
    attributes = {CONVERSATION: f"c-{agent}", "gen_ai.agent.name": agent}
    with pytest.raises(ValueError), tracer.start_as_current_span("run", attributes=attributes):
        raise ValueError
    assert provider.force_flush()
    session = ledger.sessions.get(f"c-{agent}")
    assert (session.status, session.outcome) == ("terminated", "error")


def test_an_agent_that_takes_over_has_a_session_of_its_own(
    tracer: Tracer, provider: TracerProvider, ledger: Ledger, agent: str
) -> None:
    conversation = f"c-{agent}"

    def attributes(operation: str, name: str) -> dict[str, str]:
        operation_name = {"gen_ai.operation.name": operation}
        return {CONVERSATION: conversation, "gen_ai.agent.name": name, **operation_name}

    tool = {**attributes("execute_tool", agent), "gen_ai.tool.name": "transfer_to_refunds"}
    with (
        tracer.start_as_current_span("invoke_agent", attributes=attributes("invoke_agent", agent)),
        tracer.start_as_current_span("execute_tool", attributes=tool),
        tracer.start_as_current_span("b", attributes=attributes("invoke_agent", "refunds")),
    ):
        pass
    assert provider.force_flush()
    session = ledger.sessions.get(conversation)
    assert (session.status, session.handed_off_to) == ("handed_off", "refunds")
    assert session.handed_off_session_id is not None
    assert ledger.sessions.get(session.handed_off_session_id).status == "active"


def test_what_is_wrong_with_a_span_is_no_failure_of_the_export(
    exporter: Twice,
) -> None:
    collected = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(collected))
    provider.get_tracer("test").start_span("chat", attributes={CONVERSATION: "a/b"}).end()
    # Otherwise the exporter would send it again.
    assert exporter.export(collected.get_finished_spans()) is SpanExportResult.SUCCESS


def test_runs_of_pydantic_ai_are_sessions(
    provider: TracerProvider, ledger: Ledger, agent: str
) -> None:
    settings = InstrumentationSettings(tracer_provider=provider)
    runner = Agent(TestModel(), name=agent, capabilities=[Instrumentation(settings)])

    @runner.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    conversations = [f"{agent}-1", f"{agent}-2"]
    for conversation in [*conversations, conversations[0]]:
        asyncio.run(runner.run("what a secret prompt", conversation_id=conversation))
    assert provider.force_flush()
    listed = ledger.sessions.list(agent_id=agent)
    assert sorted(session.session_id for session in listed) == conversations
    for conversation in conversations:
        for event in ledger.sessions.events(conversation):
            assert "secret" not in str(event)


def test_a_failed_run_of_pydantic_ai_ends_its_session(
    provider: TracerProvider, ledger: Ledger, agent: str
) -> None:
    settings = InstrumentationSettings(tracer_provider=provider)
    runner = Agent(TestModel(), name=agent, capabilities=[Instrumentation(settings)])

    @runner.tool_plain
    def broken(_city: str) -> str:
        raise OSError(StatusCode.ERROR.name)

    with pytest.raises(OSError, match="ERROR"):
        asyncio.run(runner.run("hello", conversation_id=f"{agent}-1"))
    assert provider.force_flush()
    session = ledger.sessions.get(f"{agent}-1")
    assert (session.status, session.outcome) == ("terminated", "error")
