"""What loads less, and what it leaves behind."""

import gc
import sys

import pytest

from waypost_client.loading import uncollected, without


def test_a_module_that_is_left_out_is_not_found_and_is_there_again_afterwards() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ModuleNotFoundError):
        import this  # noqa: F401
    assert "this" not in sys.modules


def test_a_module_that_is_loaded_already_stays() -> None:
    with without("sys", "gc"):
        import gc as found
    assert found is sys.modules["gc"]


def test_the_collector_rests_and_comes_back_whatever_happens() -> None:
    def failing() -> None:
        with uncollected():
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert gc.isenabled()
