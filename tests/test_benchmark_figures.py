"""What the benchmarks make of their figures: medians, percentiles, files, pictures, tables of the documentation."""

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from benchmarks.arithmetic import Summary, percentile, summary
from benchmarks.charts import Bar, bar_chart, line_chart
from benchmarks.pages import LABELS, PAGE, PICTURES, pictures_of, shown_pictures, table_of, write_page
from benchmarks.report import write_curve, write_row
from benchmarks.rounds import Curve, Row

SVG = "{http://www.w3.org/2000/svg}"
MACHINE: dict[str, str | int] = {"processor": "P<1>", "cores": 2, "distribution": "Debian", "python": "3.11.7"}


@pytest.mark.parametrize(
    ("values", "percent", "is_"),
    [
        ([], 50, 0),
        ([7], 1, 7),
        ([7], 99, 7),
        ([1, 2, 3, 4], 50, 2),
        ([4, 3, 2, 1, 5], 50, 3),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 100, 100),
        (list(range(1, 1001)), 99.9, 999),
    ],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], percent: float, is_: float
) -> None:
    assert percentile(values, percent) == is_


def test_rounds_are_summed_up_by_their_median_and_range() -> None:
    assert summary([]) is None
    assert summary([3]) == Summary(3, 3, 3)
    assert summary([9, 1, 4]) == Summary(4, 1, 9)
    assert summary([1, 2, 3, 10]) == Summary(2.5, 1, 10)


def row() -> Row:
    found = Row("made-up", "calls & answers", ("rate", "cpu_us"), drawn=("cpu_us",), absent=["etcd is absent; get it"])
    for rate in (100.0, 300.0, 200.0):
        found.add("waypost", {"answered": 1, "rate": rate, "cpu_us": 10 * rate})
    found.add("a <peer>", {"answered": 1, "rate": 1.25})
    return found


def curve() -> Curve:
    found = Curve("growth-made-up", "time of a call", "µs", "instances")
    for size in (1_000, 10_000, 1_000_000):
        found.add("waypost", size, size / 100, size / 90)
        found.add("floor", size, 0.5)
    found.add("waypost, SRV", 1_000, 3)
    return found


def test_a_file_holds_every_round_and_the_machine(tmp_path: Path) -> None:
    written = msgspec.json.decode(write_row(row(), tmp_path, rounds=3, seconds=2.0, about=MACHINE).read_bytes())
    assert written["machine"] == MACHINE
    assert written["contenders"]["waypost"]["medians"] == {"rate": 200, "cpu_us": 2000}
    assert [each["rate"] for each in written["contenders"]["waypost"]["rounds"]] == [100, 300, 200]
    assert written["contenders"]["a <peer>"]["medians"] == {"rate": 1.25}
    assert written["absent"] == ["etcd is absent; get it"]


def test_pictures_are_whole_and_hold_every_label_and_figure(tmp_path: Path) -> None:
    for path in (
        write_row(row(), tmp_path, rounds=3, seconds=2.0, about=MACHINE),
        write_curve(curve(), tmp_path, rounds=2, seconds=2.0, about=MACHINE),
    ):
        document = msgspec.json.decode(path.read_bytes())
        for name, picture in pictures_of(document).items():
            assert name.startswith(path.stem)
            drawn = ET.fromstring(picture)
            texts = [each.text or "" for each in drawn.iter(f"{SVG}text")]
            described = drawn.findtext(f"{SVG}desc") or ""
            for contender in document.get("points") or ["waypost"]:
                assert contender in texts
                assert contender in described
            assert drawn.findtext(f"{SVG}title") == document["about"].capitalize()
            assert "P<1>" in described
            assert "prefers-color-scheme: dark" in (drawn.findtext(f"{SVG}style") or "")


def test_a_contender_without_a_figure_has_no_bar(tmp_path: Path) -> None:
    path = write_row(row(), tmp_path, rounds=3, seconds=2.0, about=MACHINE)
    (picture,) = pictures_of(msgspec.json.decode(path.read_bytes())).values()
    assert "peer" not in picture
    assert ET.fromstring(picture).findall(f"{SVG}rect") != []


def test_bars_are_as_long_as_their_figures() -> None:
    bars = [
        Bar("one", Summary(50, 40, 60), ours=True),
        Bar("two", Summary(100, 100, 200)),
        Bar("none", Summary(0, 0, 0)),
    ]
    drawn = ET.fromstring(bar_chart("t", "u", bars)).findall(f"{SVG}rect")
    one, two, none = (float(each.attrib["width"]) for each in drawn)
    assert two == pytest.approx(2 * one, abs=0.2)
    assert none == 1


def test_a_cost_that_does_not_grow_is_a_level_line() -> None:
    flat = {size: Summary(7, 7, 7) for size in (1_000, 10_000, 100_000)}
    steep = {size: Summary(size / 100, size / 100, size / 100) for size in flat}
    drawn = ET.fromstring(line_chart("t", "u", "instances", {"waypost": flat, "other": steep}))
    paths = [each.attrib["d"] for each in drawn.iter(f"{SVG}path") if each.attrib["class"].startswith("line c")]
    heights = [[float(point.split()[1]) for point in path[1:].split("L")] for path in paths if "L" in path]
    assert len(set(heights[0])) == 1
    assert heights[1] == sorted(heights[1], reverse=True)
    assert len(set(heights[1])) == 3


def test_a_picture_of_nothing_is_still_a_picture() -> None:
    ET.fromstring(bar_chart("t", "u", []))
    ET.fromstring(line_chart("t", "u", "instances", {}))
    ET.fromstring(line_chart("t", "u", "instances", {"waypost": {10: Summary(0, 0, 0)}}))


def test_the_tables_of_a_page_are_written_from_the_files(tmp_path: Path) -> None:
    write_row(row(), tmp_path, rounds=3, seconds=2.0, about=MACHINE)
    write_curve(curve(), tmp_path, rounds=2, seconds=2.0, about=MACHINE)
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- figures: made-up -->\nold\n<!-- /figures -->\nbetween\n<!-- figures: growth-made-up -->\n"
        "<!-- /figures -->\n<!-- figures: other -->\nstays\n<!-- /figures -->\nafter\n"
    )
    write_page(tmp_path, page)
    once = page.read_text()
    assert "old" not in once
    assert "stays" in once
    assert "| waypost | 200 (100-300) | 2,000 (1,000-3,000) |" in once
    assert "| a <peer> | 1.25 | - |" in once
    assert "| waypost | 10.6 (10-11.1) | 106 (100-111) | 10,556 (10,000-11,111) |" in once
    assert "![Calls & answers](pictures/made-up-cpu-us.svg)" in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert write_page(tmp_path, page).read_text() == once


def test_every_column_has_a_name_for_people() -> None:
    table = table_of(
        {
            "about": "x",
            "columns": list(LABELS),
            "contenders": {},
            "machine": MACHINE,
            "rounds": 1,
            "seconds": 1.0,
            "measured_at": "2026-11-24",
        }
    )
    assert not any(f"| {column} |" in table for column in LABELS if "_" in column)


def test_every_picture_and_marker_of_the_page_is_there() -> None:
    text = PAGE.read_text()
    assert text.count("<!-- figures: ") == text.count("<!-- /figures -->") > 0
    assert shown_pictures()
    for name in shown_pictures():
        ET.fromstring((PICTURES / f"{name}.svg").read_text())


def test_what_is_to_be_known_and_who_was_absent_stand_under_the_table(tmp_path: Path) -> None:
    told = row()
    told.notes.append("cpu_us is of all processes")
    path = write_row(told, tmp_path, rounds=1, seconds=2.0, about=MACHINE)
    lines = table_of(msgspec.json.decode(path.read_bytes())).splitlines()
    assert "1 round of 2 s, " in lines[-4]
    assert lines[-2:] == ["- etcd is absent; get it.", "- *processor time each, µs* is of all processes."]
