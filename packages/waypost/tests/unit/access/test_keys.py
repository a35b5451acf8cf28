"""How access keys are written, what they may do, and how often."""

from pathlib import Path

import pytest

from waypost.apis.access.keys import KeyRing, KeysInvalid, keys_from_file, keys_from_text
from waypost.apis.access.rates import Rates, RequestRates
from waypost.apis.access.rights import EVERYTHING, Rights
from waypost.apis.cloudmap.errors import WireError
from waypost.registry_settings import SettingInvalid, read_access_keys

SECRET = "0123456789abcdef"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    return path


def test_keys_are_read_from_a_file_with_their_rights(tmp_path: Path) -> None:
    text = f"""
    [AKIDALL]
    secret = "{SECRET}"
    [AKIDTEAM]
    secret = "{SECRET}"
    account = "123456789012"
    write = ["team-a.*"]
    [AKIDREAD]
    secret = "{SECRET}"
    read = ["*"]
    """
    everything, team, reader = keys_from_file(written(tmp_path, text))
    assert everything.rights is EVERYTHING
    assert (team.id, team.account, team.rights) == ("AKIDTEAM", "123456789012", Rights(read=(), write=("team-a.*",)))
    assert reader.rights == Rights(read=("*",), write=())
    assert SECRET not in repr(everything)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[A]", "secret"),
        ('[A]\nsecret = "short"', "shorter than 16"),
        (f'[A]\nsecret = "{SECRET}"\nwrites = []', "writes"),
        (f'[A]\nsecret = "{SECRET}"\nwrite = "x"', "write"),
        (f'[A]\nsecret = "{SECRET}"\naccount = "1"', "12 digits"),
        (f'["A B"]\nsecret = "{SECRET}"', "A B"),
        ("secret", "cannot read"),
        ("A = 1", "key A"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(KeysInvalid, match=words):
        keys_from_file(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"WAYPOST_ACCESS_KEYS_FILE: cannot read .*none\.toml"):
        read_access_keys({"WAYPOST_ACCESS_KEYS_FILE": str(tmp_path / "none.toml")})


def test_keys_of_the_environment_may_do_everything() -> None:
    (one, two) = keys_from_text(f"A:{SECRET}:with-colon, B:{SECRET}")
    assert (one.id, one.secret, one.rights) == ("A", f"{SECRET}:with-colon", EVERYTHING)
    assert two.id == "B"
    for text in ("A", f":{SECRET}", "A:short"):
        with pytest.raises(KeysInvalid):
            keys_from_text(text)


def test_the_platforms_key_counts_only_beside_others() -> None:
    platform = {"WAYPOST_PLATFORM_KEY": f"waypost-platform:{SECRET}"}
    assert read_access_keys(platform) == ()
    assert [key.id for key in read_access_keys({**platform, "WAYPOST_ACCESS_KEYS": f"A:{SECRET}"})] == [
        "A",
        "waypost-platform",
    ]


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(KeysInvalid, match="twice"):
        KeyRing(keys_from_text(f"A:{SECRET},A:{SECRET}x"))


@pytest.mark.parametrize(
    ("rights", "name", "reads", "writes"),
    [
        (EVERYTHING, "anything", True, True),
        (Rights(read=("*",), write=()), "x.internal", True, False),
        (Rights(read=(), write=("team-a.*",)), "Team-A.internal", True, True),
        (Rights(read=(), write=("team-a.*",)), "team-ab.internal", False, False),
        (Rights(read=("a", "b"), write=("b",)), "a", True, False),
        (Rights(read=(), write=()), "a", False, False),
    ],
)
def test_rights_are_patterns_of_names(rights: Rights, name: str, reads: bool, writes: bool) -> None:
    assert (rights.may_read(name), rights.may_write(name)) == (reads, writes)


def allowed(rates: RequestRates, account: str, call: str, times: int, now: float) -> int:
    count = 0
    for _ in range(times):
        try:
            rates.take(account, call, now=now)
        except WireError:
            continue
        count += 1
    return count


def test_a_bucket_holds_twice_its_rate_and_fills_with_time() -> None:
    rates = RequestRates(Rates(discover=10, control=5))
    assert allowed(rates, "a", "DiscoverInstances", 100, 0) == 20
    assert allowed(rates, "a", "DiscoverInstances", 100, 0.5) == 5
    assert allowed(rates, "a", "DiscoverInstances", 100, 1_000) == 20
    assert allowed(rates, "b", "DiscoverInstances", 100, 0) == 20  # another account
    assert allowed(rates, "a", "DiscoverInstancesRevision", 100, 0) == 60
    assert allowed(rates, "a", "RegisterInstance", 6, 0) + allowed(rates, "a", "GetService", 6, 0) == 10


def test_one_too_many_is_told_as_aws_tells_it() -> None:
    rates = RequestRates(Rates(discover=0.5, control=0.5))
    for call, type_ in (("DiscoverInstances", "RequestLimitExceeded"), ("ListServices", "ThrottlingException")):
        rates.take("a", call, now=0)
        with pytest.raises(WireError) as caught:
            rates.take("a", call, now=0)
        assert (caught.value.type, caught.value.message) == (type_, "Rate exceeded")


def test_without_a_rate_nothing_is_counted_and_accounts_are_bounded() -> None:
    unlimited = RequestRates(Rates())
    assert allowed(unlimited, "a", "DiscoverInstances", 10_000, 0) == 10_000
    assert not unlimited._buckets
    limited = RequestRates(Rates(control=1))
    for number in range(10_000):
        limited.take(str(number), "ListServices", now=0)
    assert len(limited._buckets) <= 4_096
