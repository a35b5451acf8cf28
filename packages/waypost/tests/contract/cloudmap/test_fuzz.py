"""Bodies that no client would send: always an error of the protocol, never a 500, a hang or a growing process."""

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..conftest import RegistryProcess
from .wire import Wire

MODEL = ServiceModel(Loader().load_service_model("servicediscovery", "service-2"))
WORDS = ["a", "web", "example.internal", "ns-0000000000000000", "192.0.2.1", "AWS_INSTANCE_IPV4"]
GROWTH = 24 << 20  # octets that a process may grow by while it answers nonsense

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


def meant(shape: Any) -> st.SearchStrategy[Any]:
    """Return values of a shape, most of them inside its limits."""
    match shape.type_name:
        case "structure":
            members = {name: mixed(member) for name, member in shape.members.items()}
            required = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(required, optional=members)
        case "list":
            return st.lists(mixed(shape.member), max_size=3)
        case "map":
            return st.dictionaries(st.text(max_size=12), mixed(shape.value), max_size=3)
        case "integer" | "long":
            return st.integers(-1, 1001)
        case _:
            return st.sampled_from(list(shape.enum) or WORDS) | st.text(max_size=70)


def mixed(shape: Any) -> st.SearchStrategy[Any]:
    return st.integers(0, 7).flatmap(lambda number: meant(shape) if number else junk)


BODIES = {name: mixed(MODEL.operation_model(name).input_shape) for name in sorted(MODEL.operation_names)}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return an operation and a body for it."""
    operation = draw(st.sampled_from(list(BODIES)))
    if draw(st.integers(0, 9)) == 0:
        return operation, draw(st.binary(max_size=64))
    text = json.dumps(draw(BODIES[operation])).encode()
    cut = draw(st.integers(0, len(text))) if draw(st.integers(0, 9)) == 0 else len(text)
    return operation, text[:cut]


@pytest.fixture
def wire(shared_registry: RegistryProcess, account: str) -> Iterator[Wire]:
    wire = Wire(shared_registry.listener.getsockname()[1], account)
    yield wire
    wire.close()


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(request_=requests())
def answers_in_the_protocols_words(wire: Wire, request_: tuple[str, bytes]) -> None:
    status, answer = wire.send(*request_)
    assert status in (200, 400), (request_, answer)
    assert isinstance(answer, dict)
    if status == 400:
        assert answer["Message"]
        known = {error.name for error in MODEL.operation_model(request_[0]).error_shapes}
        assert answer["__type"] in known | {"SerializationException"}, request_


def test_whatever_comes_is_answered_in_the_protocols_words(wire: Wire, shared_registry: RegistryProcess) -> None:
    assert shared_registry.process is not None
    process = psutil.Process(shared_registry.process.pid)
    before = process.memory_info().rss
    answers_in_the_protocols_words(wire)
    assert process.memory_info().rss - before < GROWTH


@pytest.mark.parametrize(
    "body",
    [
        b'{"Name":' * 50_000,
        b'{"Tags":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"Name":"' + b"x" * 900_000 + b'"}',
        b'{"MaxResults":' + b"9" * 100_000 + b"}",
        b'{"Name":"\\ud800"}',
        b'{"Name":"a","Name":"b"}',
        b'{"Tags":[' + b",".join([b'{"Key":"k","Value":"v"}'] * 20_000) + b"]}",
        b'{"Attributes":{' + b",".join(b'"k%d":"v"' % number for number in range(20_000)) + b"}}",
    ],
    ids=["unclosed", "deep", "long", "huge number", "lone surrogate", "twice", "many", "wide"],
)
def test_a_hostile_body_is_refused(wire: Wire, body: bytes) -> None:
    for operation in ("CreateHttpNamespace", "RegisterInstance", "ListNamespaces"):
        status, answer = wire.send(operation, body)
        assert status in (200, 400)
        assert status == 200 or answer["__type"] in ("InvalidInput", "SerializationException")
        assert len(str(answer)) < 100_000
