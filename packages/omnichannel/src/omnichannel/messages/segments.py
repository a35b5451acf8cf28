"""How many SMS a text takes. Source: 3GPP TS 23.038 (the 7-bit alphabet), TS 23.040 (concatenation)."""

from typing import Final

__all__ = ["segments"]

GSM_7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_EXTENDED: Final = frozenset("^{}\\[~]|€\f")  # two places each


def segments(text: str) -> int:
    """Return the number of SMS: 160 places in one, 153 in each of several; 70 and 67 where a character needs UCS-2."""
    if all(char in GSM_7 or char in GSM_7_EXTENDED for char in text):
        places, single, several = sum(2 if char in GSM_7_EXTENDED else 1 for char in text), 160, 153
    else:
        places, single, several = len(text.encode("utf-16-be")) // 2, 70, 67
    return 1 if places <= single else -(-places // several)
