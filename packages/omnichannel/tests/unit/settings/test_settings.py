import pytest

from omnichannel.settings import Settings, SettingsInvalid

TASK = {
    "SERVICE_ADDRESS": "127.88.0.3",
    "SERVICE_PORT": "8080",
    "WAYPOST_DNS": "127.0.0.1:8600",
    "AWS_ENDPOINT_URL_SERVICEDISCOVERY": "http://127.0.0.1:8500",
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment()


def test_the_defaults_are_those_of_a_task_alone_on_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = settings(monkeypatch)
    assert (defaults.service_address, defaults.service_port) == ("0.0.0.0", 8080)
    assert defaults.omnichannel_auth == "on"
    assert defaults.smtp_url is None


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, SMTP_URL="", SERVICE_PORT="").service_port == 8080


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVICE_ADDRESS", "worker.example.com"),
        ("SERVICE_PORT", "65536"),
        ("SERVICE_PORT", "http"),
        ("OMNICHANNEL_AUTH", "no"),
        ("WEBHOOK_ALLOW_NETWORKS", "127.0.0.0/8,10.0.0.0/99"),
        ("WEBHOOK_REFUSE_LISTENERS", "127.0.0.1"),
        ("WEBHOOK_TIMEOUT_S", "0"),
        ("SMTP_URL", "mail.example.com"),
        ("SMTP_URL", "http://mail.example.com"),
        ("SMTP_FROM", "nobody"),
        ("OMNICHANNEL_RETRY_BASE_S", "nan"),
        ("OMNICHANNEL_RETRY_ATTEMPTS", "0"),
        ("OMNICHANNEL_CONCURRENCY", "many"),
        ("OMNICHANNEL_POLL_S", "0"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings(monkeypatch, **{variable: value})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{variable}: ")


def test_a_password_in_a_url_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings(monkeypatch, SMTP_URL="ftp://ada:s3cret@mail.example.com")
    assert "s3cret" not in str(refused.value)


def test_a_wait_without_jitter_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="OMNICHANNEL_RETRY_CAP_S"):
        settings(monkeypatch, OMNICHANNEL_RETRY_BASE_S="10", OMNICHANNEL_RETRY_CAP_S="5")


@pytest.mark.parametrize("nameserver", ["127.0.0.1", "127.0.0.1:dns", "[::1"])
def test_a_variable_of_others_is_not_judged_here(monkeypatch: pytest.MonkeyPatch, nameserver: str) -> None:
    endpoint = "https://servicediscovery.example.com"
    read = settings(monkeypatch, WAYPOST_DNS=nameserver, AWS_ENDPOINT_URL_SERVICEDISCOVERY=endpoint)
    assert read.own_listeners == {("0.0.0.0", 8080)}


def test_the_platform_around_a_task_is_known_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings(monkeypatch, **TASK, WEBHOOK_REFUSE_LISTENERS="127.0.0.1:8000, [::1]:8000").own_listeners
    assert own == {
        ("0.0.0.0", 8080),  # its siblings have the same port on other loopback addresses
        ("127.0.0.1", 8600),
        ("127.0.0.1", 8500),
        ("127.0.0.1", 8000),
        ("::1", 8000),
    }
