"""Deals connections out to the workers' ports in turn: router.py FIRST_PORT.

It is no worker: it runs once, beside them. By its PID file it is one of brood's
registered processes, which get SIGTERM when brood stops and are waited for.
"""

import asyncio
import itertools
import os
import signal
import sys


def register():
    """Writes our PID to the number 0 of the pattern, complete or not at all."""
    stem, ending = os.path.splitext(os.environ["BROOD_PIDFILE"])
    path = f"{stem}.0{ending}"
    with open(path + ".new", "w") as file:
        file.write(f"{os.getpid()}\n")
    os.rename(path + ".new", path)
    return path


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(first):
    turn = itertools.count()

    async def route(reader, writer):
        ports = [first + i for i in range(64)]
        start = next(turn)
        for attempt in range(8):
            port = ports[(start + attempt) % int(os.environ["BROOD_COUNT"])]
            try:
                upstream = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue  # its worker is being replaced
            await asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))
            return
        writer.close()

    server = await asyncio.start_server(route, "0.0.0.0", 8080)
    path = register()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()
    os.unlink(path)


asyncio.run(main(int(sys.argv[1])))
