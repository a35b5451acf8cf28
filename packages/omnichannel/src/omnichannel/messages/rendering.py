"""Templates: Jinja2 in its sandbox, with bounds on what a template may cost.

A variable that a template names and nobody gives is an error, never an empty place in a message. The sandbox keeps
templates from Python's insides; :mod:`omnichannel.messages.template_bounds` keeps them from holding up the api; and the
text that comes out has a length at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import TemplateError
from jinja2.exceptions import TemplateSyntaxError

from omnichannel.messages.model import Channel
from omnichannel.messages.template_bounds import BoundedEnvironment, budget

__all__ = ["InvalidTemplate", "Source", "Words", "check_source", "render", "render_source"]

OUTPUT_LENGTH: Final = 100_000  # characters


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


_environment: Final = BoundedEnvironment()
_html_environment: Final = BoundedEnvironment(autoescape=True)  # what a variable holds is text there, never markup


def render(text: str, variables: Mapping[str, Any], *, field: str, channel: Channel | None = None) -> str:
    """Return what a template says with these variables, escaped where the field is html. Raises InvalidTemplate."""
    try:
        environment = _html_environment if field == "html" else _environment
        compiled = environment.from_string(text, globals=budget())
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
