"""Checks of what comes in, made from AWS's own model of the API, so that no member and no limit is forgotten.

SDKs check almost nothing before they send. The model states types, required members, lengths, ranges, patterns and
enumerations; rules between members are in :mod:`waypost.catalog.rules`. Patterns must match the whole value.
"""

import gzip
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from waypost.apis.cloudmap.errors import WireError

__all__ = ["TARGET_PREFIX", "InputCheck", "load_input_checks"]

TARGET_PREFIX: Final = "Route53AutoNaming_v20170314."
JSON_NAMES: Final = {str: "STRING", bool: "BOOLEAN", int: "NUMBER", float: "NUMBER", list: "LIST", dict: "STRUCTURE"}
SHOWN: Final = 256  # characters of a bad value that an error repeats

Problems = list[str]
Check = Callable[[Any, str, Problems], Any]
InputCheck = Callable[[Any], dict[str, Any]]


@cache
def load_input_checks() -> Mapping[str, InputCheck]:
    """Return, for each operation of the API, the function that checks its input.

    It returns the input without members that are null or unknown.

    :raises WireError: from that function: SerializationException for a value of the wrong JSON type, InvalidInput that
        names every member that breaks a limit.
    """
    model = _model()
    compiler = _Compiler(model["shapes"])
    return {name: compiler.input_check(operation["input"]["shape"]) for name, operation in model["operations"].items()}


def _model() -> Any:
    """Return the newest model that botocore brings along. It is read as a file: botocore itself is no part of us, and
    loads an HTTP client and a good deal more.
    """
    spec = find_spec("botocore")
    assert spec is not None
    assert spec.submodule_search_locations
    versions = Path(spec.submodule_search_locations[0], "data", "servicediscovery")
    with gzip.open(max(versions.iterdir()) / "service-2.json.gz") as file:
        return json.load(file)


class _Compiler:
    """Turns shapes of the model into functions, once each."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self._made: dict[str, Check] = {}

    def input_check(self, shape_name: str) -> InputCheck:
        check = self._check(shape_name)

        def check_input(value: Any) -> dict[str, Any]:
            problems: Problems = []
            checked: dict[str, Any] = check(value, "", problems)
            if problems:
                many = "s" if len(problems) > 1 else ""
                raise WireError(
                    "InvalidInput", f"{len(problems)} validation error{many} detected: " + "; ".join(problems)
                )
            return checked

        return check_input

    def _check(self, shape_name: str) -> Check:
        if shape_name not in self._made:
            shape = self._shapes[shape_name]
            make = getattr(self, f"_make_{shape['type']}", None)
            if make is None:
                raise NotImplementedError(f"shape {shape_name} has type {shape['type']}")
            self._made[shape_name] = make(shape)
        return self._made[shape_name]

    def _make_structure(self, shape: Mapping[str, Any]) -> Check:
        members = [
            (name, _lower_camel(name), self._check(member["shape"])) for name, member in shape["members"].items()
        ]
        required = shape.get("required", ())

        def check(value: Any, path: str, problems: Problems) -> dict[str, Any]:
            if type(value) is not dict:
                raise _wrong_type(value, dict, path)
            above = f"{path}." if path else ""
            checked = {}
            for name, lowered, check_member in members:
                member = value.get(name)
                if member is not None:
                    checked[name] = check_member(member, above + lowered, problems)
            for name in required:
                if name not in checked:
                    problems.append(_broken(None, above + _lower_camel(name), "Member must not be null"))
            return checked

        return check

    def _make_list(self, shape: Mapping[str, Any]) -> Check:
        check_member = self._check(shape["member"]["shape"])
        check_length = _length_check(shape)

        def check(value: Any, path: str, problems: Problems) -> list[Any]:
            if type(value) is not list:
                raise _wrong_type(value, list, path)
            check_length(value, path, problems)
            return [
                check_member(each, f"{path}.{number}.member", problems) for number, each in enumerate(value, start=1)
            ]

        return check

    def _make_map(self, shape: Mapping[str, Any]) -> Check:
        check_key, check_value = self._check(shape["key"]["shape"]), self._check(shape["value"]["shape"])
        check_length = _length_check(shape)
        least, most, is_key = _limits(self._shapes[shape["key"]["shape"]])
        low, high, is_value = _limits(self._shapes[shape["value"]["shape"]])

        def check(value: Any, path: str, problems: Problems) -> dict[str, Any]:
            if type(value) is not dict:
                raise _wrong_type(value, dict, path)
            check_length(value, path, problems)
            for key, each in value.items():  # most are as they should be: what takes words is for those that are not
                if not (
                    type(each) is str
                    and least <= len(key) <= most
                    and low <= len(each) <= high
                    and is_key(key)
                    and is_value(each)
                ):
                    check_key(key, path, problems)
                    check_value(each, f"{path}.{key}.member", problems)
            return value

        return check

    def _make_string(self, shape: Mapping[str, Any]) -> Check:
        low, high = shape.get("min", 0), shape.get("max", math.inf)
        check_length = _length_check(shape)
        allowed = shape.get("enum")
        pattern = shape.get("pattern")
        matches = re.compile(pattern).fullmatch if pattern is not None else None

        def check(value: Any, path: str, problems: Problems) -> str:
            if type(value) is not str:
                raise _wrong_type(value, str, path)
            if not low <= len(value) <= high:
                check_length(value, path, problems)
            if allowed is not None and value not in allowed:
                problems.append(_broken(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]"))
            if matches is not None and matches(value) is None:
                problems.append(_broken(value, path, f"Member must satisfy regular expression pattern: {pattern}"))
            return value

        return check

    def _make_integer(self, shape: Mapping[str, Any]) -> Check:
        low, high = shape.get("min"), shape.get("max")

        def check(value: Any, path: str, problems: Problems) -> int:
            if type(value) is not int:
                raise _wrong_type(value, int, path)
            if low is not None and value < low:
                problems.append(_broken(value, path, f"Member must have value greater than or equal to {low}"))
            if high is not None and value > high:
                problems.append(_broken(value, path, f"Member must have value less than or equal to {high}"))
            return int(value)

        return check

    _make_long = _make_integer


def _limits(shape: Mapping[str, Any]) -> tuple[float, float, Callable[[str], object]]:
    """Return the least and the most length of a string, and what is true of one whose pattern matches."""
    if shape["type"] != "string" or "enum" in shape:
        raise NotImplementedError(f"a map of {shape}")
    matches: Callable[[str], object] = re.compile(shape.get("pattern", "(?s:.*)")).fullmatch
    return shape.get("min", 0), shape.get("max", math.inf), matches


def _length_check(shape: Mapping[str, Any]) -> Callable[[Any, str, Problems], None]:
    low, high = shape.get("min"), shape.get("max")

    def check(value: Any, path: str, problems: Problems) -> None:
        if low is not None and len(value) < low:
            problems.append(_broken(value, path, f"Member must have length greater than or equal to {low}"))
        if high is not None and len(value) > high:
            problems.append(_broken(value, path, f"Member must have length less than or equal to {high}"))

    return check


def _wrong_type(value: Any, type_: type, path: str) -> WireError:
    found = JSON_NAMES.get(type(value), "NULL")
    return WireError("SerializationException", f"{found}_VALUE at '{path or '/'}' is not a {JSON_NAMES[type_]}")


def _lower_camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _broken(value: Any, path: str, rule: str) -> str:
    shown = "null" if value is None else f"'{str(value)[:SHOWN]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"
