"""The floor of an HTTP API on uvicorn: ``python -m benchmarks.echo PORT FILE`` answers every request with the file."""

import sys
from pathlib import Path
from typing import Any

import uvicorn


def echo(body: bytes) -> Any:
    """Return an ASGI application that reads a request and answers the body."""
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/x-amz-json-1.1"), (b"content-length", b"%d" % len(body))],
    }
    whole = {"type": "http.response.body", "body": body}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(whole)

    return app


if __name__ == "__main__":
    uvicorn.run(
        echo(Path(sys.argv[2]).read_bytes()),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
    )
