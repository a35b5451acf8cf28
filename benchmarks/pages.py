"""The figures as documentation: tables between the markers of a page, and a picture of each row and curve.

Both come from the files that a run has written, so that what the documentation says is what was measured. A marker
names the file: ``<!-- figures: dns-a -->`` to ``<!-- /figures -->``; where there is no such file, what stands between
them stays.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.arithmetic import Summary, summary
from benchmarks.charts import Bar, bar_chart, line_chart, ranged

__all__ = ["LABELS", "PAGE", "PICTURES", "pictures_of", "shown_pictures", "table_of", "write_page", "write_pictures"]

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "performance.md"
PICTURES: Final = DOCS / "pictures"
README: Final = DOCS.parent / "README.md"
SHOWN: Final = re.compile(r"\]\((?:docs/)?pictures/([a-z0-9-]+)\.svg\)")
OURS: Final = ("waypost", "omnichannel", "postgresql", "sqlite")  # the publisher's own rows are named by database
COLUMN: Final = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b")
MARKED: Final = re.compile(r"(<!-- figures: (?P<name>[a-z0-9-]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)

LABELS: Final = {
    "ack_p50_ms": "answered, p50 ms",
    "ack_p99_ms": "answered, p99 ms",
    "core_percent": "of a core, %",
    "cpu_us": "processor time each, µs",
    "dns_p50_ms": "then in DNS, p50 ms",
    "dns_p99_ms": "then in DNS, p99 ms",
    "dns_alone_p99_ms": "DNS alone, p99 ms",
    "dns_beside_p99_ms": "DNS beside 10,000 checks, p99 ms",
    "failed": "failed",
    "gone_ms": "still named for, ms",
    "gone_p50_ms": "gone after, p50 ms",
    "gone_most_ms": "gone after, at most ms",
    "late": "sent late",
    "lost": "lost",
    "most_ms": "at most, ms",
    "octets": "octets of an answer",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "per_transaction": "calls in a transaction",
    "pss_mib": "memory, MiB",
    "rate": "per second",
    "start_s": "start, s",
    "transactions": "transactions",
    "twice": "delivered twice",
    "wrong": "wrong answers",
}
"""What a column is called where people read it."""


def write_page(results: Path, page: Path) -> Path:
    """Write the tables of a page anew, each under the first picture of its file; return the page."""

    def renewed(found: re.Match[str]) -> str:
        path = results / f"{found['name']}.json"
        if not path.exists():
            return found[0]
        document = _read(path)
        shown = [f"![{_sentence(document['about'])}](pictures/{name}.svg)\n\n" for name in pictures_of(document)]
        return f"{found[1]}{''.join(shown[:1])}{table_of(document)}{found[3]}"

    page.write_text(MARKED.sub(renewed, page.read_text()))
    return page


def write_pictures(results: Path, folder: Path, *, only: Collection[str] | None = None) -> list[Path]:
    """Draw every file of a folder, or the pictures of some names; return where the pictures are."""
    written = []
    for path in sorted(results.glob("*.json")):
        for name, picture in pictures_of(_read(path)).items():
            if only is None or name in only:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{name}.svg").write_text(picture)
                written.append(folder / f"{name}.svg")
    return written


def shown_pictures() -> set[str]:
    """Return the names of the pictures that the documentation shows."""
    return {name for page in (PAGE, README) for name in SHOWN.findall(page.read_text())}


def table_of(document: dict[str, Any]) -> str:
    """Return a file's figures as a table, with the machine, who was absent, and what is to be known under it."""
    if "curve" in document:
        head, lines = _curve_table(document)
    else:
        head, lines = _row_table(document)
    rule = ["---", *("---:" for _ in head[1:])]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))
    told = [*document.get("absent", ()), *document.get("notes", ())]
    remarks = "".join(f"- {_worded(each)}.\n" for each in told)
    return f"{table}\n{_measured(document)}.\n" + (f"\n{remarks}" if told else "")


def pictures_of(document: dict[str, Any]) -> dict[str, str]:
    """Return a file's pictures by their names: one of each column that its row has drawn."""
    if "curve" in document:
        lines = {name: {int(size): each for size, each in points.items()} for name, points in _points(document).items()}
        title, note = _sentence(document["about"]), _measured(document)
        drawn = line_chart(title, document["unit"], document["size"], lines, ours=OURS, note=note)
        return {document["curve"]: drawn}
    pictures = {}
    for column in document.get("drawn", ()):
        bars = [
            Bar(name, figure, ours=name.startswith(OURS))
            for name in document["contenders"]
            if (figure := _figure(document, name, column)) is not None
        ]
        unit, note = LABELS.get(column, column), _measured(document)
        if bars:
            drawn = bar_chart(_sentence(document["about"]), unit, bars, note=note)
            pictures[f"{document['row']}-{column.replace('_', '-')}"] = drawn
    return pictures


def _row_table(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = document["columns"]
    lines = [[name, *(_cell(_figure(document, name, column)) for column in columns)] for name in document["contenders"]]
    return [_sentence(document["about"]), *(LABELS.get(column, column) for column in columns)], lines


def _curve_table(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    points = _points(document)
    sizes = sorted({int(size) for each in points.values() for size in each})
    lines = [[name, *(_cell(each.get(str(size))) for size in sizes)] for name, each in points.items()]
    head = f"{_sentence(document['about'])}, {document['unit']}, by {document['size']}"
    return [head, *(f"{size:,}" for size in sizes)], lines


def _points(document: dict[str, Any]) -> dict[str, dict[str, Summary]]:
    return {
        name: {size: figure for size, values in points.items() if (figure := summary(values)) is not None}
        for name, points in document["points"].items()
    }


def _figure(document: dict[str, Any], contender: str, column: str) -> Summary | None:
    rounds = document["contenders"][contender]["rounds"]
    return summary([each[column] for each in rounds if column in each])


def _cell(figure: Summary | None) -> str:
    return "-" if figure is None else ranged(figure)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _worded(note: str) -> str:
    """Return a note with the columns by the names that the table gives them."""
    return COLUMN.sub(lambda found: f"*{LABELS[found[0]]}*" if found[0] in LABELS else found[0], note)


def _measured(document: dict[str, Any]) -> str:
    machine = document["machine"]
    load = f", load {machine['load']}" if "load" in machine else ""
    rounds = "1 round" if document["rounds"] == 1 else f"{document['rounds']} rounds"
    return (
        f"{rounds} of {document['seconds']:g} s, {document['measured_at'][:10]}, "
        f"{machine['processor']}, {machine['cores']} cores{load}, {machine['distribution']}, Python {machine['python']}"
    )


def _read(path: Path) -> dict[str, Any]:
    return dict(msgspec.json.decode(path.read_bytes()))
