"""A webhook receiver for the terminal: prints what arrives, and answers 204. For trying the publisher out."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import typer

__all__ = ["BadAddress", "receive"]

BODY_BYTES: Final = 1_048_576  # of one webhook
HEAD_S: Final = 10  # for a client to send its request


class BadAddress(Exception):
    """It is no ``host:port`` that can be listened on."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(address, why)
        self.address, self.why = address, why

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.why}; give host:port, such as 127.0.0.1:9000"


def receive(address: str) -> None:
    """Print each webhook that is posted to ``http://host:port/…``, one JSON object a line, until interrupted.

    :raises BadAddress: it is no host:port, or is taken.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not host:
        raise BadAddress(address, "no port")
    try:
        server = _Server((host.strip("[]"), int(port)), _Receiver)
    except (OSError, OverflowError) as exc:
        raise BadAddress(address, getattr(exc, "strerror", None) or str(exc)) from exc
    with server:
        typer.echo(f"receiving at http://{host}:{server.server_port}/", err=True)
        server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = HEAD_S

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES:
            self.send_error(413 if length.isdecimal() else 411)
            return
        body = self.rfile.read(int(length))
        try:
            shown = json.dumps(json.loads(body), ensure_ascii=False)
        except ValueError:
            shown = repr(body)
        typer.echo(shown)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (named by the base class)
        """Say nothing: the webhooks are the output."""
