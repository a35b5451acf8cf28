"""What one rendering of a template may cost: turns of its loops, and characters and items that it goes through.

Jinja2's sandbox keeps templates from Python's insides, and not from making much out of little: a text that is added to
itself thirty times, or a filter that is told to fill a line with a billion blanks, holds up the process that renders
it. So whatever a filter, an operator, a call or an output is given is weighed first, and paid for from one budget, as
is what a loop does at each turn; what comes out can then be a few times as long at most. What would still be longer is
reckoned beforehand or refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import _PassArg

__all__ = ["BoundedEnvironment", "budget"]

TURNS: Final = 10_000  # of all loops of one template together
WEIGHT: Final = 2_000_000  # characters and items; about a second's work at most
CALL: Final = 10  # what the call of a filter or a function costs beside what it is given
DIGITS: Final = 100  # to which a number is rounded
BUDGET: Final = "_left"  # where a rendering counts, hidden from the template's own names by its blank
TURN: Final = "counted turns"  # names of our own filters: no template can write them
GIVEN: Final = "weighed"
UNBOUNDED: Final = ("center", "indent", "format", "wordwrap", "pprint", "random", "xmlattr", "filesizeformat")
UNWANTED: Final = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.Block,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
)
BLOWING: Final = frozenset(
    ("center", "ljust", "rjust", "zfill", "format", "format_map", "expandtabs", "replace", "join", "translate")
)
"""Methods of texts; the filters ``replace`` and ``join`` are reckoned with beforehand."""


class _Budget:
    """What is left for one rendering."""

    def __init__(self) -> None:
        self.turns, self.weight = TURNS, WEIGHT

    def turn(self, size: int) -> None:
        """Pay for one turn of a loop of so many nodes."""
        self.turns -= 1
        if self.turns < 0:
            raise SecurityError(f"its loops turn more than {TURNS} times")
        self.pay(size)

    def pay(self, weight: int) -> None:
        self.weight -= weight
        if self.weight < 0:
            raise SecurityError(f"it does more than go through {WEIGHT} characters and items")

    def weigh(self, *values: Any) -> None:
        """Pay for values, and for all that is in them."""
        todo = list(values)
        while todo:
            value = todo.pop()
            if isinstance(value, (str, bytes, range)):
                self.pay(len(value))
            elif isinstance(value, Mapping):
                self.pay(len(value))
                todo.extend(value)
                todo.extend(value.values())
            elif isinstance(value, (list, tuple, set, frozenset)):
                self.pay(len(value))
                todo.extend(value)
            else:
                self.pay(1)


def budget() -> dict[str, Any]:
    """Return the names that a template is compiled with: what one rendering may cost."""
    return {BUDGET: _Budget()}


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with everything weighed that a template does."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})  # on a text, % is the printf of Python

    def __init__(self, *, autoescape: bool = False) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=autoescape, keep_trailing_newline=True)
        for name in UNBOUNDED:
            self.filters.pop(name, None)
        self.filters = {name: _weighed(each, RECKONED.get(name)) for name, each in self.filters.items()}
        self.filters |= {TURN: _counted, GIVEN: _given}
        for name in ("range", "lipsum", "cycler", "namespace", "joiner"):
            self.globals.pop(name, None)
        self.globals["range"] = _range

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        for loop in parsed.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("loops must not be recursive", loop.lineno)
            size = sum(1 for body in (*loop.body, *loop.else_) for _ in body.find_all(nodes.Node))
            loop.iter = _through(TURN, loop.iter, nodes.Const(size))
        for output in parsed.find_all(nodes.Output):
            output.nodes = [_through(GIVEN, each) for each in output.nodes]
        for joined in parsed.find_all(nodes.Concat):
            joined.nodes = [_through(GIVEN, each) for each in joined.nodes]
        for node in parsed.find_all(UNWANTED):
            raise TemplateSyntaxError("templates stand alone and define no macros and blocks", node.lineno)
        return parsed

    def call(self, context: Context, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        _left(context).pay(CALL)
        _left(context).weigh(getattr(callee, "__self__", None), args, kwargs)
        return super().call(context, callee, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "+":
            _left(context).weigh(left, right)
            return left + right
        if operator == "**" or not numbers or max(abs(left), abs(right)) > 1e12:
            raise SecurityError("** is not allowed" if operator == "**" else f"{operator} is for numbers up to 1e12")
        return left % right if operator == "%" else left * right

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not (isinstance(obj, str) and attr in BLOWING) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        return None  # what the sandbox would let through by a wrapper of its own, is_safe_attribute refuses


def _through(name: str, node: nodes.Node, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _left(context: Context) -> _Budget:
    left = context.parent[BUDGET]
    assert isinstance(left, _Budget)
    return left


@pass_context
def _counted(context: Context, items: Iterable[Any], size: int) -> Iterator[Any]:
    left = _left(context)
    for item in items:
        left.turn(size)
        yield item


@pass_context
def _given(context: Context, value: Any) -> Any:
    _left(context).weigh(value)
    return value


def _range(*numbers: int) -> range:
    made = range(*numbers)
    if len(made) > TURNS:
        raise SecurityError(f"a range is longer than {TURNS}")
    return made


def _weighed(original: Callable[..., Any], reckon: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a filter that pays for what it is given, and for what ``reckon`` says that it makes of that."""
    passed = _PassArg.from_obj(original)

    @pass_context
    def weighed(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        left = _left(context)
        left.pay(CALL)
        left.weigh(value, args, kwargs)
        if reckon is not None:
            value = reckon(left, value, *args, **kwargs)
        match passed:
            case None:
                return original(value, *args, **kwargs)
            case _PassArg.context:
                return original(context, value, *args, **kwargs)
            case _PassArg.eval_context:
                return original(context.eval_ctx, value, *args, **kwargs)
            case _:
                return original(context.environment, value, *args, **kwargs)

    return weighed


# What each of these filters makes can be much longer than what it is given. They return the value to go on with.


def _of_replace(left: _Budget, s: Any, old: Any, new: Any, count: int | None = None) -> Any:
    text, found = str(s), str(s).count(str(old))
    left.pay(max(0, (found if count is None else min(found, count)) * len(str(new)) - len(text)))
    return s


def _of_join(left: _Budget, value: Any, d: Any = "", attribute: Any = None) -> Any:
    items = list(value)
    left.weigh(items)
    left.pay(len(items) * len(str(d)))
    return items


def _of_parts(left: _Budget, value: Any, parts: int, fill_with: Any = None) -> Any:
    if parts > TURNS:
        raise SecurityError(f"more than {TURNS} at once")
    left.pay(parts)
    return value


def _of_batch(left: _Budget, value: Any, linecount: int, fill_with: Any = None) -> Any:
    return _of_parts(left, value, linecount)


def _of_slice(left: _Budget, value: Any, slices: int, fill_with: Any = None) -> Any:
    return _of_parts(left, value, slices)


def _of_round(_left: _Budget, value: Any, precision: int = 0, method: str = "common") -> Any:
    if abs(precision) > DIGITS:
        raise SecurityError(f"numbers are rounded to {DIGITS} digits at most")
    return value


def _of_sum(_left: _Budget, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    if not isinstance(start, (int, float)):
        raise SecurityError("sum adds numbers")  # lists would be copied at each step
    return iterable


def _of_tojson(_left: _Budget, value: Any, indent: int | None = None) -> Any:
    if indent is not None:
        raise SecurityError("tojson takes no indent")
    return value


def _of_urlize(left: _Budget, value: Any, *args: Any, **kwargs: Any) -> Any:
    given = sum(len(str(each)) for each in (*args, *kwargs.values()))
    left.pay(given * len(str(value).split()))  # each word may be a link, which has them all
    return value


RECKONED: Final[Mapping[str, Callable[..., Any]]] = {
    "replace": _of_replace,
    "join": _of_join,
    "batch": _of_batch,
    "slice": _of_slice,
    "round": _of_round,
    "sum": _of_sum,
    "tojson": _of_tojson,
    "urlize": _of_urlize,
}
