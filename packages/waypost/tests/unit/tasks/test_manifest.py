"""The manifest: what it says becomes values, and what cannot be used is named with its key and its mend."""

from pathlib import Path

import pytest

from waypost.tasks.errors import ManifestInvalid
from waypost.tasks.manifest import (
    Balancer,
    DeploySpec,
    HealthSpec,
    JobSpec,
    Limits,
    LogSpec,
    Manifest,
    ServiceSpec,
    load_manifest,
    parse_manifest,
)

LEAST = """
namespace = "example.test"
[services.web]
command = ["serve"]
"""


def parse(text: str) -> Manifest:
    return parse_manifest(text, name="platform.toml", folder=Path("/srv"))


def test_what_is_left_out_has_its_default() -> None:
    assert parse(LEAST) == Manifest(
        namespace="example.test", services=(ServiceSpec(name="web", command=("serve",)),), folder=Path("/srv")
    )


def test_every_key_is_read() -> None:
    manifest = parse(
        """
        namespace = "example.test"
        [balancer]
        service = "web"
        [services.web]
        command = ["serve", "--fast"]
        count = 3
        port = 9000
        records = ["SRV"]
        ttl_s = 10
        ready = "/ready"
        start_timeout_s = 1.5
        stop_grace_s = 0
        health = { path = "/alive", interval_ms = 100, timeout_ms = 200, rise = 3, fall = 4 }
        environment = { LEVEL = "info" }
        secrets = { KEY = "secrets/key" }
        working_directory = "data"
        depends_on = ["migrate", "migrate"]
        deploy = { minimum_percent = 50, maximum_percent = 150, failures = 1 }
        limits = { open_files = 64, core_bytes = 0 }
        [jobs.migrate]
        command = ["migrate"]
        timeout_s = 5
        [logs]
        max_bytes = 20000
        keep = 0
        ended = 1
        """
    )
    assert manifest.jobs == (JobSpec(name="migrate", command=("migrate",), timeout_s=5.0),)
    assert manifest.logs == LogSpec(max_bytes=20_000, keep=0, ended=1)
    assert manifest.balancer == Balancer(service="web")
    assert manifest.services[0] == ServiceSpec(
        name="web",
        command=("serve", "--fast"),
        count=3,
        port=9000,
        records=("SRV",),
        ttl_s=10,
        ready="/ready",
        start_timeout_s=1.5,
        stop_grace_s=0.0,
        health=HealthSpec(path="/alive", interval_ms=100, timeout_ms=200, rise=3, fall=4),
        environment=(("LEVEL", "info"),),
        secrets=(("KEY", "secrets/key"),),
        working_directory="data",
        depends_on=("migrate",),
        deploy=DeploySpec(minimum_percent=50, maximum_percent=150, failures=1),
        limits=Limits(open_files=64, core_bytes=0),
    )
    assert manifest.services[0].limits.given == (("open_files", 64), ("core_bytes", 0))


@pytest.mark.parametrize(
    ("text", "problem", "mend"),
    [
        ("[services.web]\ncommand=['x']", "the key namespace is missing", 'namespace = "secure-api.local"'),
        ("namespace='test'\n[services.web]\ncommand=['x']", "namespace = 'test'", "domain name"),
        ("namespace='a.test'", "the key services is missing", "[services.api]"),
        ("namespace='a.test'\n[services.web]", "the key services.web.command is missing", "list of strings"),
        (LEAST + "count = -1", "services.web.count = -1", "from 0 to 1000"),
        (LEAST + "count = true", "services.web.count = True", "whole number"),
        (LEAST + "counts = 2", "the key services.web.counts is unknown", "did you mean count?"),
        (LEAST + "health = { every = 1 }", "the key services.web.health.every is unknown", "interval_ms"),
        (LEAST + "health = 5", "services.web.health = 5", "a table"),
        (LEAST + "records = ['A', 'SRV']", "services.web.records", '["A"] or ["SRV"]'),
        (LEAST + "ready = 'ready'", "services.web.ready = 'ready'", "a path"),
        (LEAST + "environment = { A = 1 }", "services.web.environment", "table of strings"),
        (LEAST + "[services.Web_1]\ncommand = ['x']", "'Web_1' is no name for a service", "lower-case"),
        (LEAST + "[balancer]\nservice = 'api'", "balancer.service = 'api'", "one of the services: web"),
        (LEAST + "[balancer]", "the key balancer.service is missing", "one of the services: web"),
        (LEAST + "secrets = { A = '' }", "services.web.secrets", "not empty"),
        (LEAST + "secrets = 'file'", "services.web.secrets", "a table of files"),
        (LEAST + "limits = { memory = 1 }", "services.web.limits.memory is unknown", "did you mean memory_bytes?"),
        (LEAST + "deploy = { minimum_percent = 101 }", "services.web.deploy.minimum_percent", "from 0 to 100"),
        (LEAST + "depends_on = ['web']", "services.web.depends_on", "there is no other"),
        (
            LEAST + "depends_on = ['db']\n[jobs.job]\ncommand = ['x']",
            "services.web.depends_on",
            "services or jobs: job",
        ),
        (
            LEAST + "depends_on = ['job']\n[jobs.job]\ncommand = ['x']\ndepends_on = ['web']",
            "depends_on goes in a circle",
            "take one of them out",
        ),
        (LEAST + "[jobs.web]\ncommand = ['x']", "web is both a service and a job", "another name"),
        (LEAST + "[logs]\nmax_bytes = 1", "logs.max_bytes = 1", "from 10000"),
        ('namespace = "', "platform.toml is not TOML", "Unterminated string"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_mend(text: str, problem: str, mend: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        parse(text)
    assert problem in refused.value.problem
    assert mend in refused.value.mend
    assert "\n" not in str(refused.value)


def test_a_manifest_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="No such file"):
        load_manifest(tmp_path / "platform.toml")


def test_paths_start_at_the_folder_of_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "platform.toml"
    path.write_text(LEAST)
    assert load_manifest(path).folder == tmp_path.resolve()
