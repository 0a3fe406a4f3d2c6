"""`python -m swarmkit.testing`: the embedded engine on a socket, until it is told to end. Must not know: requests."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from . import FakeEngine
from ._system import RELEASES


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve an engine where the command line says; the status to exit with."""
    parser = argparse.ArgumentParser(
        prog="python -m swarmkit.testing",
        description="Serve a Swarm manager in memory, for Docker's own program and clients in any language. It runs no"
        " containers: what tasks do is read off their command line. Everything is gone when it ends.",
    )
    parser.add_argument("--socket", metavar="PATH", help="the Unix socket to listen on")
    parser.add_argument("--tcp", metavar="ADDRESS:PORT", help="a TCP port to listen on; port 0 takes a free one")
    parser.add_argument("--api-version", metavar="VERSION", default="1.51", help=f"{min(RELEASES)} to {max(RELEASES)}")
    parser.add_argument("--nodes", metavar="N", type=int, default=1, help="nodes of its swarm, the engine among them")
    options = parser.parse_args(arguments)
    hosts = [f"unix://{Path(options.socket).absolute()}"] if options.socket else []
    hosts += [f"tcp://{options.tcp}"] if options.tcp else []
    if not hosts:
        parser.error("say where to listen: --socket PATH, or --tcp ADDRESS:PORT")
    try:
        engine = FakeEngine(options.api_version)
        for number in range(1, options.nodes):
            engine.add_node(f"worker-{number}")
        anyio.run(_serve, engine, hosts)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


async def _serve(engine: FakeEngine, hosts: Sequence[str]) -> None:
    async with AsyncExitStack() as stack:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            listening = [await stack.enter_async_context(engine.serve(host)) for host in hosts]
            print(f"swarmkit's embedded engine, API {engine.api_version}: a Swarm manager that runs no containers")
            for host in listening:
                print(f"DOCKER_HOST={host} docker service ls", flush=True)
            async for _ in signals:
                return


if __name__ == "__main__":
    sys.exit(main())
