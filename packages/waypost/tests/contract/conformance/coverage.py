"""Which members and errors of AWS's model of the API have been seen on the wire, and which there are."""

import threading
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

MODEL = ServiceModel(Loader().load_service_model("servicediscovery", "service-2"))


class Coverage:
    """Notes, by botocore's own events, what clients send and are answered."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._call = threading.local()

    def watch(self, client: Any) -> None:
        client.meta.events.register("before-call.servicediscovery", self._note_input)
        client.meta.events.register("after-call.servicediscovery", self._note_output)
        client.meta.events.register("provide-client-params.servicediscovery", self._remember_params)

    def _remember_params(self, params: dict[str, Any], **_: Any) -> None:
        self._call.params = params

    def _note_input(self, model: Any, **_: Any) -> None:
        self.seen.add(model.name)
        self.seen.update(_present(f"{model.name} <", model.input_shape, self._call.params))

    def _note_output(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if "Error" in parsed:
            self._note_error(model.name, parsed)
        elif model.output_shape is not None:
            told = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
            unknown = set(told) - set(model.output_shape.members)
            assert not unknown, f"{model.name} answers with members that the model lacks: {unknown}"
            self.seen.update(_present(f"{model.name} >", model.output_shape, told))

    def _note_error(self, operation: str, parsed: dict[str, Any]) -> None:
        code = parsed["Error"]["Code"]
        self.seen.add(f"{operation} ! {code}")
        self.seen.update(f"{code}.{name}" for name in parsed if name not in ("Error", "ResponseMetadata"))
        self.seen.update(f"{code}.Message" for _ in [parsed["Error"].get("Message")] if _)


def everything() -> set[str]:
    """Return what the model has: operations, members of their inputs and outputs, their errors and the members."""
    found: set[str] = set()
    for name in MODEL.operation_names:
        operation = MODEL.operation_model(name)
        found.add(name)
        found.update(_all(f"{name} <", operation.input_shape))
        if operation.output_shape is not None:
            found.update(_all(f"{name} >", operation.output_shape))
        for error in operation.error_shapes:
            found.add(f"{name} ! {error.name}")
            found.update(f"{error.name}.{member}" for member in error.members)
    return found


def _all(path: str, shape: Shape) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():  # type: ignore[attr-defined]  # of structures
                yield f"{path} {name}"
                yield from _all(f"{path} {name}", member)
        case "list":
            yield from _all(path, shape.member)  # type: ignore[attr-defined]  # of lists
        case _:
            pass


def _present(path: str, shape: Shape, value: Any) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():  # type: ignore[attr-defined]  # of structures
                if name in value:
                    yield f"{path} {name}"
                    yield from _present(f"{path} {name}", member, value[name])
        case "list":
            for each in value:
                yield from _present(path, shape.member, each)  # type: ignore[attr-defined]  # of lists
        case _:
            pass
