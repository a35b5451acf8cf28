import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnichannel.channels.credentials import Credentials, Secret
from omnichannel.database.sealing import VARIABLE, Seal, SealingFailed, new_key

FIRST, SECOND = new_key(), new_key()


def seal(*keys: str) -> Seal:
    return Seal(Secret(VARIABLE, ",".join(keys)))


@given(st.text(), st.text(max_size=36))
def test_what_is_sealed_opens_in_its_place_alone(secret: str, place: str) -> None:
    kept = seal(FIRST).close(secret, place=place)
    assert seal(FIRST).open(kept, place=place) == secret
    with pytest.raises(SealingFailed, match="moved"):
        seal(FIRST).open(kept, place=place + "x")


def test_the_same_secret_never_looks_the_same() -> None:
    assert len({seal(FIRST).close("s3cret", place="1") for _ in range(20)}) == 20


def test_a_key_is_replaced_by_putting_the_new_one_in_front() -> None:
    kept = seal(FIRST).close("s3cret", place="1")
    both = seal(SECOND, FIRST)
    assert both.open(kept, place="1") == "s3cret"
    assert not both.is_newest(kept)
    fresh = both.close("s3cret", place="1")
    assert both.is_newest(fresh)
    assert seal(SECOND).open(fresh, place="1") == "s3cret"
    with pytest.raises(SealingFailed, match=VARIABLE):
        seal(SECOND).open(kept, place="1")


def test_a_key_in_a_file_is_read_at_every_use(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    sealed = Seal.of(Credentials({f"{VARIABLE}_FILE": str(file)}))
    with pytest.raises(SealingFailed, match=f"{VARIABLE}_FILE"):
        sealed.close("s3cret", place="1")
    file.write_text(f"{FIRST}\n")
    kept = sealed.close("s3cret", place="1")
    file.write_text(f"{SECOND},\n{FIRST}")
    assert sealed.open(kept, place="1") == "s3cret"
    assert not sealed.is_newest(kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept[:-1],
        lambda kept: kept[:-4] + "AAAA",
        lambda kept: kept.rpartition(":")[0] + ":",
        lambda kept: kept.rpartition(":")[0] + ":é",
        lambda kept: "sealed:00000000:" + kept.rpartition(":")[2],
        lambda _: "sealed:",
    ],
)
def test_what_was_changed_does_not_open(change) -> None:
    kept = seal(FIRST).close("s3cret", place="1")
    with pytest.raises(SealingFailed) as caught:
        seal(FIRST).open(change(kept), place="1")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("keys", ["", " , ", "short", base64.b64encode(b"x" * 31).decode(), "é"])
def test_a_key_that_is_none_is_refused_without_being_shown(keys: str) -> None:
    with pytest.raises(SealingFailed, match=VARIABLE) as caught:
        Seal(Secret(VARIABLE, keys)).close("s3cret", place="1")
    assert not keys.strip(" ,") or keys not in str(caught.value)


def test_without_a_key_nothing_is_sealed_and_what_is_in_clear_still_opens() -> None:
    assert Seal().open("whsec_old", place="1") == "whsec_old"
    with pytest.raises(SealingFailed, match="omnichannel sealing new"):
        Seal().close("s3cret", place="1")
