"""Names: what text is one, and its ancestors."""

import pytest

from waypost.nameserver.names import InvalidName, encode_name, suffixes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", b"\x03web\0"),
        ("Web.example.", b"\x03Web\x07example\0"),
        ("_http._tcp", b"\x05_http\x04_tcp\0"),
        ("a:/@b", b"\x05a:/@b\0"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\0"),
    ],
)
def test_text_becomes_a_name(text: str, name: bytes) -> None:
    assert encode_name(text) == name


@pytest.mark.parametrize("text", ["", ".", "..", "a..b", ".a", "a..", "x" * 64, "é", "\x80", ".".join(["x" * 63] * 4)])
def test_other_text_is_no_name(text: str) -> None:
    with pytest.raises(InvalidName):
        encode_name(text)


def test_the_suffixes_of_a_name_are_itself_and_its_ancestors() -> None:
    assert list(suffixes(b"\x01a\x01b\x01c\0")) == [b"\x01a\x01b\x01c\0", b"\x01b\x01c\0", b"\x01c\0"]
    assert list(suffixes(b"\0")) == []
