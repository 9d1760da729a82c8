"""A stub of the vendor for measuring who asks it: answers of benchmarks.answers, stamped with the present.

    .venv/bin/python -m benchmarks.stub --port 18080 [--rows 5000] [--share 0.02] [--shuffled]

| request | answer |
| --- | --- |
| POST /, `service=App.Sip_Queue.GetQueueSipStatus`, any token | the next answer; its number modulo BODIES as `X-Body` |
| POST /, `service=App.Sip_Auth.Login` | a token |
| GET /count | `{"polls": …}` |
| GET /times | `[[number of the answer, unix ns when it was handed to the socket], …]`, the latest KEPT |
| GET /expect | `{"rows", "changed", "bodies", "bytes"}` of each answer; `bodies`: how many a reader may learn |

The number of an answer is what its changed rows hold in `externalcallscount`. Answers do not come in a cycle: their
stamps go on with the time. A reader that has learnt the first BODIES of them knows all the same how many rows will
differ in any later one, and events of the same size to send for them.

An answer's changes are made as soon as the one before it has gone out, so that whoever asks next is not kept waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import deque
from urllib.parse import parse_qs

from aiohttp import web

from benchmarks.answers import Floor

BODIES = 2
"""With two, the way from the last that was learnt back to the first changes the same rows as the way forth. With more
it would change those of several answers, and a reader that counts would find too few in the answers it polls."""

KEPT = 100_000
"""Answers whose times are remembered."""

PAUSE = 0.002
"""Seconds from an answer's end to the making of the next one: what is left of it in buffers goes out first."""

STATUS, LOGIN = "App.Sip_Queue.GetQueueSipStatus", "App.Sip_Auth.Login"
TOKEN = {
    "token": "0" * 32,
    "companycode": "c1",
    "companyname": "x",
    "authtime": "2026-11-23 10:00:00",
    "authmodel": "1",
}


class Stub:
    """The vendor, over one floor."""

    def __init__(self, floor: Floor, rows: int) -> None:
        self._floor = floor
        self._rows = rows
        self._ready = False
        self._size = 0
        self.times: deque[tuple[int, int]] = deque(maxlen=KEPT)
        self.app = web.Application()
        self.app.router.add_post("/", self._call)
        self.app.router.add_get("/count", self._count)
        self.app.router.add_get("/times", self._times)
        self.app.router.add_get("/expect", self._expect)
        self._prepare()

    def _prepare(self) -> None:
        if not self._ready:
            self._floor.change(time.time())
            self._ready = True

    async def _call(self, request: web.Request) -> web.StreamResponse:
        form = parse_qs((await request.read()).decode())
        service = form.get("service", [""])[0]
        if service == LOGIN:
            now = int(time.time())
            data = {"status": 0, "desc": "", "result": TOKEN, "reqtime": now, "rsptime": now}
            return web.json_response({"ret": 200, "data": data, "msg": ""})
        if service != STATUS:
            return web.json_response({"ret": 400, "data": [], "msg": "service"})
        self._prepare()
        body, number = self._floor.body(time.time()), self._floor.answers
        self._ready, self._size = False, len(body)
        answer = web.Response(
            body=body, content_type="application/json", charset="utf-8", headers={"X-Body": str(number % BODIES)}
        )
        self.times.append((number, time.time_ns()))
        await answer.prepare(request)
        await answer.write_eof()
        asyncio.get_running_loop().call_later(PAUSE, self._prepare)
        return answer

    async def _count(self, _: web.Request) -> web.Response:
        return web.json_response({"polls": self.times[-1][0] if self.times else 0})

    async def _times(self, _: web.Request) -> web.Response:
        return web.json_response(list(self.times))

    async def _expect(self, _: web.Request) -> web.Response:
        size = self._size or len(self._floor.body(time.time()))
        return web.json_response({"rows": self._rows, "changed": self._floor.changed, "bodies": BODIES, "bytes": size})


async def serve(stub: Stub, host: str, port: int) -> None:
    """Answer until cancelled; says on standard output when it has begun."""
    runner = web.AppRunner(stub.app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"answers at http://{host}:{port}", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve until told to stop."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--host", default="127.0.0.1")
    asking.add_argument("--port", type=int, required=True)
    asking.add_argument("--rows", type=int, default=5000)
    asking.add_argument("--share", type=float, default=0.02)
    asking.add_argument("--shuffled", action="store_true")
    asked = asking.parse_args()
    stub = Stub(Floor(asked.rows, asked.share, shuffled=asked.shuffled), asked.rows)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(stub, asked.host, asked.port))


if __name__ == "__main__":
    main()
