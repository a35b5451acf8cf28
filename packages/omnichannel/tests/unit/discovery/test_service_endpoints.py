import dataclasses

import pytest

from omnichannel.calls import EndpointsUnknown
from omnichannel.discovery import ServiceEndpoints

HOSTS = {
    "API_SERVICE_HOST": "api.secure-api.example",
    "WORKER_SERVICE_HOST": "worker.secure-api.example",
    "SCHEDULER_SERVICE_HOST": "scheduler.secure-api.example",
}


def test_the_environment_names_each_service() -> None:
    endpoints = ServiceEndpoints.from_environment(HOSTS | {"SERVICE_PORT": "9000"})
    assert endpoints == ServiceEndpoints(*HOSTS.values(), port=9000)


def test_a_host_that_is_not_given_is_the_service_in_the_namespace() -> None:
    endpoints = ServiceEndpoints.from_environment({"SERVICE_NAMESPACE": "secure-api.example"})
    assert endpoints == ServiceEndpoints(*HOSTS.values(), port=8080)


@pytest.mark.parametrize("missing", HOSTS)
def test_a_host_that_nothing_gives_is_named(missing: str) -> None:
    with pytest.raises(EndpointsUnknown, match=f"^{missing}: missing"):
        ServiceEndpoints.from_environment({name: host for name, host in HOSTS.items() if name != missing})


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(EndpointsUnknown, match=r"^SERVICE_PORT: "):
        ServiceEndpoints.from_environment(HOSTS | {"SERVICE_PORT": port})


@pytest.mark.parametrize("path", ["/process", "process"])
def test_a_url_is_made_of_name_port_and_path(path: str) -> None:
    endpoints = ServiceEndpoints.from_environment(HOSTS)
    assert endpoints.worker_url(path) == "http://worker.secure-api.example:8080/process"
    assert endpoints.api_url(path) == "http://api.secure-api.example:8080/process"


def test_endpoints_do_not_change() -> None:
    endpoints = ServiceEndpoints.from_environment(HOSTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        endpoints.port = 1  # type: ignore[misc]
