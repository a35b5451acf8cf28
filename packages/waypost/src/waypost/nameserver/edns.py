"""The OPT record: what a query says with it, and what a reply says back.

Source: RFC 6891, RFC 3225 (DO), RFC 8914 (extended errors).
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dns.edns import EDECode, OptionType
from dns.flags import EDNSFlag
from dns.rcode import Rcode
from dns.rdatatype import RdataType

__all__ = ["OPT_OCTETS", "UDP_PAYLOAD", "Edns", "opt_reply", "read_bare_opt", "read_opt"]

UDP_PAYLOAD: Final = 1232  # octets of a datagram: no path fragments it (DNS flag day 2020, RFC 9715)
OPT: Final = struct.Struct(
    "!BHHBBHH"
)  # root name, type, payload, extended rcode, version, flags, length of the options
OPT_OCTETS: Final = OPT.size  # without options
OPTION_HEAD_OCTETS: Final = 4  # code and length
EXTENDED_ERROR: Final = struct.Struct("!HHH")  # an option of its own: code, length, info code


@dataclass(frozen=True, slots=True)
class Edns:
    """What the OPT record of a query says."""

    payload: int  # octets that the asker can take in one datagram
    version: int
    dnssec_ok: bool


def read_opt(octets: bytes) -> Edns | None:
    """Return what an OPT record says, its options left aside; None if these octets are anything else."""
    if len(octets) < OPT_OCTETS:
        return None
    name, rtype, payload, _, version, flags, length = OPT.unpack_from(octets)
    if name or rtype != RdataType.OPT or OPT_OCTETS + length != len(octets):
        return None
    at = OPT_OCTETS
    while at + OPTION_HEAD_OCTETS <= len(octets):
        at += OPTION_HEAD_OCTETS + int.from_bytes(octets[at + 2 : at + OPTION_HEAD_OCTETS], "big")
    return Edns(payload, version, bool(flags & EDNSFlag.DO)) if at == len(octets) else None


read_bare_opt: Final = lru_cache(maxsize=256)(read_opt)
"""``read_opt``, for the few forms that a record without options has in practice."""


def opt_reply(edns: Edns | None, error: EDECode | None = None) -> bytes:
    """Return the OPT record for the reply to a query: none unless the query had one.

    :param error: what is to be said beyond the response code.
    """
    if edns is None:
        return b""
    if edns.version:
        return UNKNOWN_VERSION
    return REPLIES[edns.dnssec_ok, error]


def _encode(*, extended_rcode: int = 0, flags: int = 0, error: EDECode | None = None) -> bytes:
    option = b"" if error is None else EXTENDED_ERROR.pack(OptionType.EDE, 2, error)
    return OPT.pack(0, RdataType.OPT, UDP_PAYLOAD, extended_rcode, 0, flags, len(option)) + option


UNKNOWN_VERSION: Final = _encode(extended_rcode=Rcode.BADVERS >> 4)
REPLIES: Final = {
    (dnssec_ok, error): _encode(flags=EDNSFlag.DO if dnssec_ok else 0, error=error)
    for dnssec_ok in (False, True)
    for error in (None, *EDECode)
}
