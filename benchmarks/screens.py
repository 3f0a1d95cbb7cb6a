"""Time the pages of a served workspace with many sessions at once.

``python -m benchmarks.screens WORKSPACE [--sessions 20] [--rounds 3] [--rested]`` serves the
workspace and speaks Streamlit's own protocol, so that no browser competes for the machine: a
session opens a page, waits until its script has run, thinks for a moment, and opens the next.
Printed are the times until a page was whole, by page, and what failed. The sessions come as soon
as the server answers; with ``--rested`` once it has gone through its pages by itself.

``--sessions 1`` says what a page costs instead: processor time and bytes sent, at the first look
and at the later ones, once the server has gone through its pages by itself; and what that cost.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from cohorte.warehouse import open_served
from cohorte.workspace import open_workspace
from dashboards import serve

PAGES = {
    "overview": "",
    "objectives": "",
    "customers": "",
    "customers, searched": "q={name}",
    "customer": "id={customer_id}",
    "identity": "",
    "organisations": "",
    "rfm": "",
    "segments": "",
    "scores": "",
    "explore": "kpi=net_revenue&by=channel",
    "retention": "",
    "products": "",
    "sales": "",
    "service": "",
    "geography": "",
    "campaigns": "",
    "data": "",
    "runs": "",
}
THINKING_SECONDS = (1.0, 4.0)
PATIENCE_SECONDS = 120
FAILED = "co-empty failure"
RESTING_SECONDS = 3.0


def people(workspace: Path, count: int) -> list[tuple[str, str]]:
    """Some customers: ids and names with a slip."""
    _info, connection = open_served(open_workspace(workspace))
    with connection:
        found = connection.execute(
            "select customer_id, full_name from customer_profiles where length(full_name) > 8"
            " and lifetime_orders_count > 0 order by hash(customer_id) limit ?",
            [count],
        ).fetchall()
    return [
        (customer_id, f"{name[:-3]}{name[-2]}{name[-3]}{name[-1]}") for customer_id, name in found
    ]


async def session(
    number: int,
    url: str,
    rounds: int,
    known: Sequence[tuple[str, str]],
    times: dict[str, list[float]],
    failures: list[str],
) -> None:
    """One person who goes through the pages in an order of their own."""
    luck = random.Random(number)
    await asyncio.sleep(luck.uniform(*THINKING_SECONDS))
    async with websockets.connect(url, subprotocols=["streamlit"], max_size=None) as wire:
        for _round in range(rounds):
            for page in luck.sample(list(PAGES), len(PAGES)):
                customer_id, name = luck.choice(known)
                asked = PAGES[page].format(customer_id=customer_id, name=name)
                begun = time.perf_counter()
                try:
                    said, _size = await asyncio.wait_for(
                        show(wire, page.split(",")[0], asked), PATIENCE_SECONDS
                    )
                except Exception as error:
                    failures.append(f"{page}: {type(error).__name__}")
                    return
                times[page].append(time.perf_counter() - begun)
                if FAILED in said:
                    failures.append(f"{page}: the page says that it failed")
                await asyncio.sleep(luck.uniform(*THINKING_SECONDS))


async def alone(
    url: str, server: psutil.Process, rounds: int, known: Sequence[tuple[str, str]]
) -> bool:
    """Print what each page costs the server, by round, with nobody else there."""
    await at_rest(server)
    print(f"{'page':<22}{'CPU-s at first':>15}{'then':>8}{'kB':>8}")
    spent: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = {}
    good = True
    async with websockets.connect(url, subprotocols=["streamlit"], max_size=None) as wire:
        for turn in range(rounds):
            customer_id, name = known[0]
            for page, query in PAGES.items():
                before = spent_by(server)
                said, size = await show(
                    wire, page.split(",")[0], query.format(customer_id=customer_id, name=name)
                )
                good = good and FAILED not in said
                spent[page].append(spent_by(server) - before)
                sizes[page] = size
                if turn == rounds - 1:
                    then = sorted(spent[page][1:])[(rounds - 1) // 2] if rounds > 1 else 0.0
                    print(f"{page:<22}{spent[page][0]:>15.2f}{then:>8.2f}{sizes[page] / 1e3:>8.0f}")
    return good


async def at_rest(server: psutil.Process) -> None:
    """Wait until a server that has just started works no more; print what that took."""
    before, spent = -1.0, spent_by(server)
    while spent - before > 0.1 * RESTING_SECONDS:
        await asyncio.sleep(RESTING_SECONDS)
        before, spent = spent, spent_by(server)
    print(f"started and gone through: {spent:.1f} CPU-s")


def spent_by(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


async def show(wire: websockets.ClientConnection, page: str, query: str) -> tuple[str, int]:
    """Run a page's script; the markup that came and the bytes of all that came, once it ended."""
    message = BackMsg()
    message.rerun_script.page_name = "" if page == "overview" else page
    message.rerun_script.query_string = query
    await wire.send(message.SerializeToString())
    markup, size = [], 0
    while True:
        answer = ForwardMsg()
        came = await wire.recv()
        size += len(came)
        answer.ParseFromString(came)
        if answer.WhichOneof("type") == "delta":
            markup.append(answer.delta.new_element.html.body)
        if answer.WhichOneof("type") == "script_finished":
            return "".join(markup), size


def quantile(values: Sequence[float], portion: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(portion * len(ordered)))]


async def drive(
    url: str,
    server: psutil.Process | None,
    sessions: int,
    rounds: int,
    known: Sequence[tuple[str, str]],
) -> bool:
    """Run the sessions, once a ``server`` given rests, and print what they met; whether all went
    well."""
    if server is not None:
        await at_rest(server)
    times: dict[str, list[float]] = defaultdict(list)
    failures: list[str] = []
    await asyncio.gather(
        *(session(i, url, rounds, known, times, failures) for i in range(sessions))
    )
    print(f"{'page':<22}{'shown':>7}{'median':>9}{'p95':>9}{'slowest':>9}")
    times["all"] = [each for found in times.values() for each in found]
    for page in (*PAGES, "all"):
        if found := times[page]:
            print(
                f"{page:<22}{len(found):>7}{quantile(found, 0.5):>9.2f}"
                f"{quantile(found, 0.95):>9.2f}{max(found):>9.2f}"
            )
    print(f"failures: {len(failures)}", *sorted(set(failures))[:5], sep="\n  ")
    return not failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rested", action="store_true")
    asked = parser.parse_args()
    known = people(asked.workspace, 200)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = serve.start(asked.workspace, port=port)
    try:
        url = f"ws://127.0.0.1:{port}/_stcore/stream"
        server = psutil.Process(process.pid)
        good = asyncio.run(
            alone(url, server, asked.rounds, known)
            if asked.sessions == 1
            else drive(url, server if asked.rested else None, asked.sessions, asked.rounds, known)
        )
        spent = spent_by(server)
        memory = server.memory_info().rss / 1e6
        print(f"server: {spent:.1f} CPU-s, {memory:.0f} MB")
    finally:
        process.terminate()
        process.wait(10)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
