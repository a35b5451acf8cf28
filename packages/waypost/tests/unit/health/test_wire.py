"""What one side of the line writes, the other reads."""

import msgspec
import pytest

from waypost.health.wire import Doubting, News, Unwatch, Watch, decode_order, decode_report, encode_line

WATCH = Watch(
    number=1, address="192.0.2.1", port=8080, path="/health", interval_ms=500, timeout_ms=1000, rise=1, fall=2
)


@pytest.mark.parametrize("order", [WATCH, Unwatch(number=1)])
def test_orders_come_through(order: Watch | Unwatch) -> None:
    line = encode_line(order)
    assert line.count(b"\n") == 1
    assert decode_order(line) == order


def test_news_come_through_in_one_line_whatever_the_reason_holds() -> None:
    news = News(number=1, healthy=False, reason="two\nlines")
    line = encode_line(news)
    assert line.index(b"\n") == len(line) - 1
    assert decode_report(line) == news


def test_doubt_comes_through() -> None:
    doubting = Doubting(doubting=True, unreachable=6, targets=10)
    assert decode_report(encode_line(doubting)) == doubting


def test_what_is_no_order_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_order(b'{"type":"dance"}')
