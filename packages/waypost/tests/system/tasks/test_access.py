"""A platform whose registry wants signatures, with real processes."""

import json
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

HEAD = 'namespace = "example.test"\n[balancer]\nservice = "web"\n'
SECRET = "a secret that is long enough"


def client(platform: Any, key: str) -> Any:
    return boto3.client(
        "servicediscovery",
        endpoint_url=f"http://{platform.run['http_address']}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=SECRET,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )


def test_every_part_calls_with_the_platforms_own_key_and_others_need_theirs(
    platform: Any, echo: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "keys.toml").write_text(f'[AKIDREADER]\nsecret = "{SECRET}"\nread = ["*"]\n')
    platform.up(HEAD + echo("web"), WAYPOST_ACCESS_KEYS_FILE="keys.toml")
    (task,) = platform.tasks
    with urllib.request.urlopen(f"http://{platform.run['balancer_address']}/", timeout=10) as answer:
        told = json.loads(answer.read())
    assert told["SERVICE_INSTANCE"] == task["instance"]
    assert not [name for name in told if "ACCESS_KEYS" in name or "PLATFORM_KEY" in name]
    found = client(platform, "AKIDREADER").discover_instances(NamespaceName="example.test", ServiceName="web")
    assert [each["InstanceId"] for each in found["Instances"]] == [task["instance"]]
    for key, code in (("AKIDREADER", "AccessDeniedException"), ("waypost", "UnrecognizedClientException")):
        with pytest.raises(ClientError) as refused:
            client(platform, key).create_http_namespace(Name="x")
        assert refused.value.response["Error"]["Code"] == code
    printed = platform.command("env").stdout
    assert f"export AWS_ENDPOINT_URL_SERVICEDISCOVERY=http://{platform.run['http_address']}\n" in printed
    platform.signal(signal.SIGTERM)
    assert platform.wait() == 0
    gone = platform.command("env")
    assert (gone.returncode, gone.stdout) == (6, "")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--http-address", "0.0.0.0:0"), "--allow-unsigned"),
        (("--access-keys-file", "none.toml"), "WAYPOST_ACCESS_KEYS_FILE: cannot read"),
    ],
)
def test_a_registry_that_would_be_open_or_has_no_keys_is_refused_before_anything_starts(
    platform: Any, echo: Callable[..., str], flags: tuple[str, ...], words: str
) -> None:
    platform.spawn(HEAD + echo("web"), *flags)
    assert platform.wait() == 2
    assert words in platform.output
    assert not (platform.state / "logs" / "registry.log").exists()
