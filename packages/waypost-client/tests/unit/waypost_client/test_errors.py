import pickle

import pytest

from waypost_client import NameserverUnknown, NoAddress, ResolutionFailed


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoAddress("a.example", exists=True), "a.example has no address at present"),
        (NoAddress("a.example", exists=False), "a.example does not exist"),
        (ResolutionFailed("a.example", "timed out"), "a.example could not be resolved: timed out"),
        (NameserverUnknown("WAYPOST_DNS", "it is empty"), "WAYPOST_DNS: it is empty"),
    ],
)
def test_an_error_says_what_is_wrong_and_survives_a_copy(error: Exception, says: str) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(error), str(copy), vars(copy)) == (says, says, vars(error))
