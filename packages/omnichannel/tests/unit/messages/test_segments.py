import pytest

from omnichannel.messages.segments import segments


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("🚀" * 35, 1),
        ("🚀" * 36, 2),
    ],
)
def test_a_text_takes_so_many_sms(text: str, count: int) -> None:
    assert segments(text) == count
