"""Templates: Jinja2 in its sandbox, with bounds on what a template may cost.

A variable that a template names and nobody gives is an error, never an empty place in a message. The sandbox keeps
templates from Python's insides; the bounds keep them from holding up the api: loops share a budget of turns, numbers
and texts are not multiplied, and the text that comes out has a length at most.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from omnichannel.messages.model import Channel

__all__ = ["InvalidTemplate", "Source", "Words", "check_source", "render", "render_source"]

TURNS: Final = 10_000  # of all loops of one template together
OUTPUT_LENGTH: Final = 100_000  # characters
BUDGET: Final = "_turns_left"  # where a rendering counts, hidden from the template's own names by its blank
UNBOUNDED: Final = ("center", "indent", "format", "wordwrap", "pprint", "random", "xmlattr", "filesizeformat")


class InvalidTemplate(ValueError):
    """A template that cannot be parsed, or not with these variables; ``field`` is subject, body or html."""

    def __init__(self, field: str, reason: str, channel: Channel | None = None) -> None:
        super().__init__(field, reason, channel)
        self.field, self.reason, self.channel = field, reason, channel

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a message says."""

    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a template says, and what single channels say instead."""

    words: Words
    variants: Mapping[Channel, Words] = field(default_factory=dict)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with every loop counted and nothing that makes much out of little."""

    intercepted_binops = frozenset({"*", "**", "%"})  # on a text, % is the printf of Python

    def __init__(self, *, autoescape: bool = False) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=autoescape, keep_trailing_newline=True)
        self.filters["counted_turns"] = _counted
        for name in UNBOUNDED:
            self.filters.pop(name, None)
        for name in ("range", "lipsum", "cycler", "namespace", "joiner"):
            self.globals.pop(name, None)
        self.globals["range"] = _range

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        for loop in parsed.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("loops must not be recursive", loop.lineno)
            loop.iter = nodes.Filter(loop.iter, "counted_turns", [], [], None, None, lineno=loop.lineno)
        for unwanted in (nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends):
            for node in parsed.find_all(unwanted):
                raise TemplateSyntaxError("templates stand alone and define no macros", node.lineno)
        return parsed

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "**" or not numbers or max(abs(left), abs(right)) > 1e12:
            raise SecurityError("** is not allowed" if operator == "**" else f"{operator} is for numbers up to 1e12")
        return left % right if operator == "%" else left * right

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        blowing = isinstance(obj, str) and attr in {
            "center",
            "ljust",
            "rjust",
            "zfill",
            "format",
            "format_map",
            "expandtabs",
            "replace",
            "join",
            "translate",
        }
        return not blowing and super().is_safe_attribute(obj, attr, value)


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    left: list[int] = context.parent[BUDGET]
    for item in items:
        left[0] -= 1
        if left[0] < 0:
            raise SecurityError(f"its loops turn more than {TURNS} times")
        yield item


def _range(*numbers: int) -> range:
    made = range(*numbers)
    if len(made) > TURNS:
        raise SecurityError(f"a range is longer than {TURNS}")
    return made


_environment: Final = _Environment()
_html_environment: Final = _Environment(autoescape=True)  # what a variable holds is text there, never markup


def render(text: str, variables: Mapping[str, Any], *, field: str, channel: Channel | None = None) -> str:
    """Return what a template says with these variables, escaped where the field is html. Raises InvalidTemplate."""
    try:
        environment = _html_environment if field == "html" else _environment
        compiled = environment.from_string(text, globals={BUDGET: [TURNS]})
        parts: list[str] = []
        length = 0
        for part in compiled.generate(dict(variables)):
            length += len(part)
            if length > OUTPUT_LENGTH:
                raise InvalidTemplate(field, f"comes out longer than {OUTPUT_LENGTH} characters", channel)
            parts.append(part)
    except InvalidTemplate:
        raise
    except TemplateSyntaxError as exc:
        raise InvalidTemplate(field, f"cannot be parsed: {exc.message} (line {exc.lineno})", channel) from None
    except TemplateError as exc:
        raise InvalidTemplate(field, f"cannot be rendered: {exc.message}", channel) from None
    except Exception as exc:  # whatever an expression of the template raises is the template's own fault
        raise InvalidTemplate(field, f"cannot be rendered: {type(exc).__name__}: {str(exc)[:200]}", channel) from None
    return "".join(parts)


def check_source(source: Source) -> None:
    """Return if every text of a template can be parsed. Raises InvalidTemplate."""
    for channel, words in [(None, source.words), *source.variants.items()]:
        for name, text in (("subject", words.subject), ("body", words.body), ("html", words.html or "")):
            try:
                _environment.parse(text)
            except TemplateSyntaxError as exc:
                raise InvalidTemplate(name, f"cannot be parsed: {exc.message} (line {exc.lineno})", channel) from None


def render_source(source: Source, variables: Mapping[str, Any]) -> Source:
    """Return a template's words, and each channel's own, with these variables. Raises InvalidTemplate."""
    return Source(
        words=_rendered(source.words, variables, None),
        variants={channel: _rendered(own, variables, channel) for channel, own in source.variants.items()},
    )


def _rendered(words: Words, variables: Mapping[str, Any], channel: Channel | None) -> Words:
    return Words(
        subject=render(words.subject, variables, field="subject", channel=channel),
        body=render(words.body, variables, field="body", channel=channel),
        html=None if words.html is None else render(words.html, variables, field="html", channel=channel),
    )
