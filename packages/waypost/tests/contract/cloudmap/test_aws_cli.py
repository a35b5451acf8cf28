"""The AWS CLI for one whole life of a namespace, set by two variables as its users set it."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import RegistryProcess


@pytest.fixture
def aws(shared_registry: RegistryProcess, account: str, tmp_path: Path) -> Callable[[str], Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": shared_registry.url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }

    def run(line: str) -> Any:
        command = [Path(sys.executable).with_name("aws"), "servicediscovery", *shlex.split(line), "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    return run


@pytest.mark.timeout(300)  # each call is a program of its own, slow to start
def test_a_namespace_lives_by_the_aws_cli(aws: Callable[[str], Any]) -> None:
    operation = aws("create-private-dns-namespace --name cli.internal --vpc vpc-1")["OperationId"]
    namespace = aws(f"get-operation --operation-id {operation}")["Operation"]["Targets"]["NAMESPACE"]
    service = aws(
        f"create-service --name web --namespace-id {namespace} --dns-config 'DnsRecords=[{{Type=A,TTL=5}}]' "
        "--health-check-custom-config FailureThreshold=1"
    )["Service"]
    assert service["DnsConfig"]["RoutingPolicy"] == "MULTIVALUE"
    instance = f"--service-id {service['Id']} --instance-id i-1"
    aws(f"register-instance {instance} --attributes AWS_INSTANCE_IPV4=192.0.2.1,color=blue")
    found = aws("discover-instances --namespace-name cli.internal --service-name web --query-parameters color=blue")
    assert [each["InstanceId"] for each in found["Instances"]] == ["i-1"]
    assert aws(f"update-service --id {service['Id']} --service 'DnsConfig={{DnsRecords=[{{Type=A,TTL=60}}]}}'")
    aws(f"deregister-instance {instance}")
    aws(f"delete-service --id {service['Id']}")
    aws(f"delete-namespace --id {namespace}")
    assert aws("list-namespaces --filters Name=NAME,Values=cli.internal")["Namespaces"] == []
