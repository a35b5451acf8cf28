"""Metrics: what processes show, what the catalogue names, and what documents, dashboards and alerts speak of."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import CHECKOUT, Platform, WebhookReceiver
from tests.test_main_job import call, settled

from conftest import missing
from omnichannel.serving.metric_names import METRICS as OF_OMNICHANNEL
from waypost.metric_names import METRICS as OF_WAYPOST

KNOWN = {each.name: each for each in (*OF_WAYPOST, *OF_OMNICHANNEL)}
ALERTS = CHECKOUT / "deploy/prometheus/alerts.yml"
DASHBOARDS = sorted((CHECKOUT / "deploy/grafana").glob("*.json"))
NAME = re.compile(r"\b(?:waypost|omnichannel)_[a-z_]+\b")
LABELS_OF_PROMETHEUS = {"instance", "job", "le"}
FEW = 40  # values of one label


def test_a_catalogue_names_each_metric_once() -> None:
    assert len(KNOWN) == len(OF_WAYPOST) + len(OF_OMNICHANNEL)
    for each in KNOWN.values():
        assert each.name.endswith("_total") == (each.kind == "counter"), each.name
        assert not {"id", "address", "path", "instance"} & set(each.labels), each.name


def test_the_page_has_the_catalogue() -> None:
    text = (CHECKOUT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), of, tells) for name, kind, labels, of, tells in rows]
    assert told == [(each.name, each.kind, each.labels, each.process, each.tells) for each in KNOWN.values()]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each PromQL expression of the alerts and dashboards, with where it stands."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_of_prometheus_exists(where: str, expression: str) -> None:
    asked = set(NAME.findall(expression))
    assert asked or "up{" in expression, where
    labels = set()
    for name in asked:
        metric = KNOWN.get(name.removesuffix("_bucket")) if name.endswith("_bucket") else KNOWN.get(name)
        assert metric is not None, f"{where}: {name}"
        assert name.endswith("_bucket") == (metric.kind == "histogram"), f"{where}: {name}"
        labels |= set(metric.labels)
        if metric.kind == "counter":
            assert re.search(rf"(rate|increase)\({name}\b", expression), f"{where}: {name} only ever grows"
    grouped = {label.strip() for each in re.findall(r"by \(([^)]*)\)", expression) for label in each.split(",")}
    chosen = {label for each in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", each)}
    assert grouped | chosen <= labels | LABELS_OF_PROMETHEUS, where


def test_each_alert_says_what_to_look_at() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "warn"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert len(rule["annotations"]["runbook"].split()) >= 8, rule["alert"]


def test_prometheus_takes_the_alerts() -> None:
    if shutil.which("promtool") is None:
        missing("promtool")
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    board = json.loads(path.read_text())
    assert {"uid", "title", "panels", "templating", "schemaVersion"} <= set(board)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}


def shown(address: str) -> dict[str, tuple[str, set[str], int]]:
    """Return what a process shows, by name: the kind, the labels, and how many series."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        labels = {label for sample in samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels, len({tuple(sample.labels.items()) for sample in samples}))
    return {name: facts for name, facts in found.items() if not name.endswith("_created")}


def assert_known(found: dict[str, tuple[str, set[str], int]], names: set[str]) -> None:
    """Assert that a process shows these metrics and no other, each as the catalogue has it."""
    assert set(found) == names
    for name, (kind, labels, series) in found.items():
        assert kind == KNOWN[name].kind, name
        assert labels in (set(), set(KNOWN[name].labels)), name
        assert series <= FEW * 16, name  # a histogram has a series for each bucket


def of(process: str) -> set[str]:
    return {each.name for each in OF_WAYPOST if each.process == process}


def test_every_process_shows_what_the_catalogue_names(platform: Platform, webhooks: WebhookReceiver) -> None:
    hook = {"channel": "webhook", "address": webhooks.url}
    _, _, message = call(platform, "/v1/messages", {"subject": "Counted", "body": "x", "recipients": [hook]})
    assert settled(platform, message["id"])["status"] == "completed"
    assert platform.answered("worker")
    assert_known(shown(platform.address("http")), of("registry"))
    assert_known(shown(platform.address("dns_admin")), of("nameserver"))
    assert_known(shown(platform.address("balancer_admin")), of("balancer"))
    assert_known(shown(platform.address("admin")), of("supervisor"))
    names = {each.name for each in OF_OMNICHANNEL}
    counted: set[str] = set()
    for service in ("api", "worker", "scheduler"):
        for task in platform.tasks(service):
            found = shown(task["address"])
            assert_known(found, names)
            counted |= {name for name, (_, labels, _) in found.items() if labels}
    assert {"omnichannel_deliveries_total", "omnichannel_http_requests_total", "omnichannel_waiting"} <= counted
