"""The gRPC health protocol, ``grpc.health.v1.Health/Check``, over HTTP/2 without TLS. Pure.

As much of HTTP/2 as one unary call needs. Request headers are sent as literals, so that no table is kept; headers of
answers are not read: the status is in the message, and an answer without a message is a failure. Source: RFC 9113,
RFC 7541, gRPC's "GRPC Health Checking Protocol" and "PROTOCOL-HTTP2".
"""

from enum import IntEnum
from typing import Final

from waypost.health.result import CheckResult

__all__ = ["GrpcExchange"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH: Final = b"/grpc.health.v1.Health/Check"
MOST_FRAME: Final = 16_384  # octets: we announce no other limit (RFC 9113 section 4.2)
LAST_STREAM: Final = 2**31 - 1
STATUS: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8


class Frame(IntEnum):
    """Frame types (RFC 9113 section 6)."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


class GrpcExchange:
    """Asks for the health of one gRPC service; "" is the server as a whole."""

    def __init__(self, authority: str, service: str) -> None:
        self.reusable = True
        self._headers = _request_headers(authority)
        self._message = _message(service)
        self._stream = -1
        self._rest = b""
        self._answer = b""
        self._heard = False

    def ask(self) -> bytes:
        first = self._stream < 0
        self._stream += 2
        self._answer, self._heard = b"", False
        self.reusable = self._stream + 2 < LAST_STREAM
        begin = PREFACE + _frame(Frame.SETTINGS, 0, 0, b"\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00")
        call = _frame(Frame.HEADERS, END_HEADERS, self._stream, self._headers)
        call += _frame(Frame.DATA, END_STREAM, self._stream, self._message)
        return begin + call if first else call

    def hear(self, octets: bytes) -> tuple[CheckResult | None, bytes]:
        self._heard = True
        self._rest += octets
        verdict: CheckResult | None = None
        back = b""
        while verdict is None and len(self._rest) >= 9:
            length = int.from_bytes(self._rest[:3], "big")
            if length > MOST_FRAME:
                return self._broken("the answer is not HTTP/2"), back
            if len(self._rest) < 9 + length:
                break
            head, payload = self._rest[:9], self._rest[9 : 9 + length]
            self._rest = self._rest[9 + length :]
            verdict, reply = self._take(head[3], head[4], int.from_bytes(head[5:9], "big") & LAST_STREAM, payload)
            back += reply
        return verdict, back

    def end(self) -> CheckResult | None:
        self.reusable = False
        return CheckResult(False, "connection closed before the answer was whole") if self._heard else None

    def _take(self, type_: int, flags: int, stream: int, payload: bytes) -> tuple[CheckResult | None, bytes]:
        """Take one frame in; return the verdict, once there is one, and what to send back."""
        back = b""
        match type_:
            case Frame.SETTINGS if not flags & ACK:
                return None, _frame(Frame.SETTINGS, ACK, 0, b"")
            case Frame.PING if not flags & ACK:
                return None, _frame(Frame.PING, ACK, 0, payload)
            case Frame.GOAWAY:
                self.reusable = False
                last = int.from_bytes(payload[:4], "big") & LAST_STREAM
                return (CheckResult(False, "gRPC: the server goes away") if last < self._stream else None), b""
            case Frame.PUSH_PROMISE:
                return self._broken("gRPC: a push that was not allowed"), b""
            case Frame.RST_STREAM if stream == self._stream:
                return CheckResult(False, "gRPC: the call was reset"), b""
            case Frame.DATA:
                if payload:  # what was received is given back to the connection's window
                    back = _frame(Frame.WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big"))
                if stream == self._stream:
                    self._answer += _unpadded(flags, payload)
            case _:
                pass
        if type_ in (Frame.DATA, Frame.HEADERS) and stream == self._stream and flags & END_STREAM:
            return _verdict(self._answer), back
        return None, back

    def _broken(self, reason: str) -> CheckResult:
        self.reusable = False
        return CheckResult(False, reason)


def _verdict(answer: bytes) -> CheckResult:
    status = _status(answer)
    if status is None:
        return CheckResult(False, "gRPC: no health status in the answer: does the server know this service?")
    return CheckResult(status == "SERVING", f"gRPC {status}")


def _status(answer: bytes) -> str | None:
    """Return the status in a HealthCheckResponse, or None where there is none."""
    if len(answer) < 5 or answer[0] != 0:
        return None
    message = answer[5 : 5 + int.from_bytes(answer[1:5], "big")]
    if not message:
        return STATUS[0]  # protobuf leaves out what is zero
    return STATUS.get(message[1]) if len(message) >= 2 and message[0] == 0x08 else None


def _message(service: str) -> bytes:
    """Return a HealthCheckRequest as a gRPC message without compression."""
    name = service.encode()
    assert len(name) < 128, "the rules bound the name"
    body = b"\x0a" + bytes([len(name)]) + name if name else b""
    return b"\x00" + len(body).to_bytes(4, "big") + body


def _request_headers(authority: str) -> bytes:
    """Return the header block: indexed fields of the static table, and literals that are never indexed."""
    return (
        b"\x83\x86"  # :method POST, :scheme http
        + b"\x04"
        + _string(PATH)
        + b"\x01"
        + _string(authority.encode("ascii"))
        + b"\x0f\x10"  # content-type
        + _string(b"application/grpc")
        + b"\x00"
        + _string(b"te")
        + _string(b"trailers")
        + b"\x0f\x2b"  # user-agent
        + _string(b"waypost")
    )


def _string(octets: bytes) -> bytes:
    assert len(octets) < 127, "lengths of one octet are enough here"
    return bytes([len(octets)]) + octets


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED or not payload:
        return payload
    return payload[1 : len(payload) - payload[0]]


def _frame(type_: Frame, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + stream.to_bytes(4, "big") + payload
