"""Domain names in wire form. Source: RFC 1035 section 3.1, RFC 4343 (case).

A name here is absolute and uncompressed: length-prefixed labels up to the root's zero octet. Length octets are at most
63 and thus never ASCII letters, so ``bytes.lower`` folds the case of a whole name, or of a question, in one step.
"""

from collections.abc import Iterator
from typing import Final

__all__ = ["InvalidName", "encode_labels", "encode_name", "suffixes"]

LONGEST_LABEL: Final = 63  # octets
LONGEST_NAME: Final = 255  # octets, with length octets and the root


class InvalidName(ValueError):
    """The text is no domain name: a label is empty, not ASCII or too long, or the whole is too long."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def encode_labels(text: str) -> bytes:
    """Return the labels of dotted text, its case kept, without the root that would end a name.

    :raises InvalidName: a label is empty, not ASCII, or longer than 63 octets.
    """
    if not text.isascii():
        raise InvalidName(text)
    labels = text.encode().split(b".")
    if any(not 0 < len(label) <= LONGEST_LABEL for label in labels):
        raise InvalidName(text)
    return b"".join(bytes([len(label)]) + label for label in labels)


def encode_name(text: str, parent: bytes = b"\0") -> bytes:
    """Return the name of dotted text below ``parent``, its case kept. A dot at the end is the root's and is dropped.

    :raises InvalidName: it is none.
    """
    name = encode_labels(text.removesuffix(".")) + parent
    if len(name) > LONGEST_NAME:
        raise InvalidName(text)
    return name


def suffixes(name: bytes) -> Iterator[bytes]:
    """Yield the name and then each of its ancestors, the root left out."""
    at = 0
    while name[at]:
        yield name[at:]
        at += 1 + name[at]
