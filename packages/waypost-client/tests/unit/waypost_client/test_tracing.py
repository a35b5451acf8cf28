import pytest

from waypost_client.tracing import Tracing, trace_id_of, traced

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "trace"),
    [
        (PARENT, TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-00-more", TRACE),  # a later version may say more
        (PARENT.upper(), None),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("", None),
        (None, None),
    ],
)
def test_the_trace_is_that_of_its_traceparent(given: str | None, trace: str | None) -> None:
    assert trace_id_of(given) == trace


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_an_endpoint_there_is_nothing(environment: dict[str, str]) -> None:
    assert Tracing.from_environment("service", environment) is None
    with traced(None, "work") as span:
        assert span is None


@pytest.fixture
def tracing() -> Tracing:
    from opentelemetry.sdk.trace import TracerProvider

    return Tracing(TracerProvider(shutdown_on_exit=False))  # nobody collects


def test_a_span_goes_on_with_the_trace_of_its_parent(tracing: Tracing) -> None:
    with tracing.start("work", parent=PARENT) as above, tracing.start("part", parent=above.traceparent) as below:
        assert trace_id_of(below.traceparent) == TRACE
        assert len({PARENT, above.traceparent, below.traceparent}) == 3


def test_what_is_no_parent_begins_a_trace(tracing: Tracing) -> None:
    with tracing.start("work", parent="nonsense") as first, tracing.start("work") as second:
        traces = {trace_id_of(first.traceparent), trace_id_of(second.traceparent)}
    assert len(traces) == 2
    assert None not in traces


def test_a_trace_that_is_not_recorded_stays_so(tracing: Tracing) -> None:
    with tracing.start("work", parent=PARENT.removesuffix("01") + "00") as span:
        assert span.traceparent.endswith("-00")
