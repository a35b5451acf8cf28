"""A task's environment: the contract that holds on AWS too."""

from dataclasses import replace
from pathlib import Path

import pytest

from waypost.settings import ListenAddress
from waypost.tasks.environment import Surroundings, fingerprint, task_environment, with_aws_defaults
from waypost.tasks.manifest import Manifest, ServiceSpec
from waypost_client.endpoint import Endpoint

API = ServiceSpec(name="api", command=("serve",), environment=(("LEVEL", "debug"), ("SERVICE_PORT", "1")))
FRONT_DESK = ServiceSpec(name="front-desk", command=("serve",))


def surroundings(balancer: str | None = "127.0.0.1:8000", dns: str = "127.0.0.1:8600") -> Surroundings:
    return Surroundings(
        manifest=Manifest(namespace="example.test", services=(API, FRONT_DESK), folder=Path("/srv")),
        registry_url="http://127.0.0.1:8500",
        dns=ListenAddress.parse(dns),
        balancer=ListenAddress.parse(balancer) if balancer else None,
        listeners=(ListenAddress.parse("127.0.0.1:8500"), ListenAddress.parse("127.0.0.1:8600")),
        state_dir=Path("/srv/var"),
        programs=Path("/venv/bin"),
    )


def environment(inherited: dict[str, str] | None = None, **changes: str) -> dict[str, str]:
    return task_environment(
        surroundings(**changes),
        API,
        Endpoint("127.88.0.1", 8080),
        "abc",
        inherited=inherited or {"PATH": "/bin"},
        secrets={},
    )


def test_a_task_is_told_where_it_listens_and_how_to_find_the_others() -> None:
    told = environment()
    assert told["SERVICE_NAMESPACE"] == "example.test"
    assert told["API_SERVICE_HOST"] == "api.example.test"
    assert told["FRONT_DESK_SERVICE_HOST"] == "front-desk.example.test"
    assert told["SERVICE_ADDRESS"] == "127.88.0.1"
    assert told["SERVICE_PORT"] == "8080"
    assert told["SERVICE_INSTANCE"] == "abc"
    assert told["WAYPOST_DNS"] == "127.0.0.1:8600"
    assert told["AWS_ENDPOINT_URL_SERVICEDISCOVERY"] == "http://127.0.0.1:8500"
    assert told["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"


def test_the_manifest_overrides_the_platform_and_the_contract_overrides_both() -> None:
    told = environment({"LEVEL": "info", "SERVICE_NAMESPACE": "other.test", "HOME": "/root"})
    assert told["HOME"] == "/root"
    assert told["LEVEL"] == "debug"
    assert told["SERVICE_NAMESPACE"] == "example.test"
    assert told["SERVICE_PORT"] == "8080"


def test_programs_of_the_platform_are_found_first() -> None:
    assert environment()["PATH"] == "/venv/bin:/bin"


def test_database_and_stream_are_embedded_unless_somebody_says_otherwise() -> None:
    assert environment()["DATABASE_URL"] == "sqlite:////srv/var/services.db"
    assert environment()["STREAM_URL"] == "sql:"
    assert environment({"DATABASE_URL": "postgresql://db.example.com/x"})["DATABASE_URL"].startswith("postgresql:")


@pytest.mark.parametrize(
    ("balancer", "auth"), [("127.0.0.1:8000", "off"), ("0.0.0.0:8000", None), ("192.0.2.1:80", None), (None, None)]
)
def test_keys_are_waived_only_while_nobody_else_reaches_the_balancer(balancer: str | None, auth: str | None) -> None:
    told = task_environment(surroundings(balancer), API, Endpoint("127.88.0.1", 8080), "abc", inherited={}, secrets={})
    assert told.get("OMNICHANNEL_AUTH") == auth


def test_keys_stay_required_where_that_is_asked_for() -> None:
    assert environment({"OMNICHANNEL_AUTH": "on"})["OMNICHANNEL_AUTH"] == "on"


def test_real_credentials_and_regions_are_left_alone() -> None:
    assert with_aws_defaults({})["AWS_REGION"] == with_aws_defaults({})["AWS_DEFAULT_REGION"] == "us-east-1"
    mine = with_aws_defaults({"AWS_DEFAULT_REGION": "eu-central-1", "AWS_PROFILE": "mine"})
    assert mine["AWS_REGION"] == "eu-central-1"
    assert "AWS_ACCESS_KEY_ID" not in mine


def test_a_fingerprint_tells_what_matters_from_what_does_not() -> None:
    def print_of(inherited: dict[str, str], instance: str = "abc", **changes: str) -> str:
        around = surroundings(**changes)
        told = task_environment(around, API, Endpoint("127.88.0.1", 8080), instance, inherited=inherited, secrets={})
        return fingerprint(API, told, around)

    assert print_of({}) == print_of({"SHLVL": "2", "TERM": "dumb"}, instance="def")
    assert print_of({}) != print_of({}, dns="127.0.0.1:8601")
    assert print_of({}) != print_of({"DATABASE_URL": "postgresql://db.example.com/x"})


def test_a_secret_wins_over_the_environment_and_the_contract_over_both() -> None:
    program = replace(API, environment=(("KEY", "plain"),))
    secrets = {"KEY": "secret", "SERVICE_NAMESPACE": "mine"}
    told = task_environment(surroundings(), program, None, "abc", inherited={}, secrets=secrets)
    assert told["KEY"] == "secret"
    assert told["SERVICE_NAMESPACE"] == "example.test"
    assert "SERVICE_ADDRESS" not in told  # a job has none
