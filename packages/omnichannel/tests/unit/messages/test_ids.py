from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from omnichannel.messages.ids import is_id, new_id

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_that_holds_its_time() -> None:
    identifier = UUID(new_id(NOW))
    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert identifier.int >> 80 == 1_893_456_000_000


def test_ids_sort_by_their_time() -> None:
    made = [new_id(NOW + timedelta(milliseconds=milliseconds)) for milliseconds in range(100)]
    assert sorted(made) == made


def test_ids_of_one_instant_differ() -> None:
    assert len({new_id(NOW) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("text", ["", "1", "not-an-id", "{12345678123456781234567812345678}", "\0"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)
    assert is_id(new_id(NOW))
