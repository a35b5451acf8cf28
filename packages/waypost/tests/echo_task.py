"""A task for tests: an HTTP server whose health can be switched, and which can be told to misbehave.

``GET /health`` and ``/health/ready`` answer 200, or what ``POST /health`` with a status as its body has set. ``GET /``
answers the environment as JSON, with the words that it was started with as ``WORDS`` and its limit of open files as
``OPEN_FILES``. Arguments: ``ignore-term`` ignores SIGTERM, ``fork`` leaves a child behind, ``exit`` ends with code 3 at
once, ``exit-later`` once it has been asked for its health, ``sick`` answers 503 from the start, ``spam`` prints 20 MB
as fast as it can, from a process of its own.
"""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path


class Server:
    def __init__(self, status: int, words: tuple[str, ...]) -> None:
        self.status, self.words = status, words

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b" ", 2)
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                )
                body = await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(self.answer(method, path, body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        status, content = 200, b"ok"
        if method == b"POST" and path == b"/health":
            self.status = int(body)
        elif path.startswith(b"/health"):
            status = self.status
            if "exit-later" in self.words:
                print("asked once too often", flush=True)
                asyncio.get_running_loop().call_later(0.3, os._exit, 4)
        elif path == b"/":
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            told = {**os.environ, "WORDS": " ".join(self.words), "OPEN_FILES": str(limit), "FOLDER": str(Path.cwd())}
            content = json.dumps(told).encode()
        return b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content


async def main(*words: str) -> None:
    if "exit" in words:
        print("something is wrong with this task", flush=True)
        sys.exit(3)
    if "fork" in words:
        subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
    if "spam" in words:
        flood = "yes 'spam and no end of it' | head -c 20000000; exec sleep 600"
        subprocess.Popen(["sh", "-c", flood], stdin=subprocess.DEVNULL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if "ignore-term" in words else stop.set)
    server = Server(503 if "sick" in words else 200, words)
    async with await asyncio.start_server(
        server.serve, os.environ["SERVICE_ADDRESS"], int(os.environ["SERVICE_PORT"]), reuse_address=True
    ):
        print("listening", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
