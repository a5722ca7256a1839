"""``python -m benchmarks.remote``: slices at URLs and in zips beside the same slices in a folder.

Servers are processes of their own on this machine: one of HTTP that knows ranges, and moto's of
S3. A network takes its time for each answer, which this machine doesn't, so all is done once
more with servers that wait before each answer.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import fsspec
import numpy as np
import tifffile

import brainxr
from benchmarks.page import table, write_block
from benchmarks.report import show_seconds
from benchmarks.results import describe_machine
from benchmarks.window import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

PAGE = REPOSITORY / "docs" / "performance.md"
SHAPE = (64, 600, 700)
PAUSE = 0.02
KEYS = {"key": "nobody", "secret": "nothing"}

STEPS: dict[str, Callable[[Any], Any]] = {
    "open": lambda array: array,
    "axial": lambda array: array[40],
    "coronal": lambda array: array[:, 300],
    "another": lambda array: array[:, 407],
    "box": lambda array: array[16:48, 200:264, 300:364],
}


# --- servers ------------------------------------------------------------------------


@dataclass
class Server:
    """A server in another process, which counts.

    Attributes
    ----------
    url : str
    ask : callable
        Of a pause in seconds from now on: requests and bytes since the last time.
    """

    url: str
    ask: Callable[[float], tuple[int, int]]


@contextmanager
def serving(serve: Callable[..., None], *arguments: Any) -> Iterator[Server]:
    """Run a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, *arguments), daemon=True)
    process.start()

    def ask(pause: float) -> tuple[int, int]:
        here.send(pause)
        return here.recv()  # type: ignore[no-any-return]

    try:
        yield Server(here.recv(), ask)
    finally:
        here.send(None)
        process.join()


def serve_http(pipe: Any, folder: str) -> None:
    """A server of HTTP, until it is told None."""
    import servers  # of the tests

    with servers.serving(Path(folder)) as web:
        pipe.send(web.url)
        while (pause := pipe.recv()) is not None:
            pipe.send((len(web.asked), web.bytes))
            web.pause = pause
            web.forget()


def serve_s3(pipe: Any) -> None:
    """moto's server of S3, until it is told None."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application, asked, pauses = DomainDispatcherApplication(create_backend_app), [], [0.0]

    def counted(environ: Any, start: Any) -> Iterator[bytes]:
        time.sleep(pauses[0])
        asked.append(0)
        mine = len(asked) - 1
        for part in application(environ, start):
            asked[mine] += len(part)
            yield part

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, counted, threaded=True)
    server.socket.listen(128)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(f"http://127.0.0.1:{server.server_port}")
    while (pause := pipe.recv()) is not None:
        pipe.send((len(asked), sum(asked)))
        pauses[0] = pause
        asked.clear()
    server.shutdown()


# --- what is read -------------------------------------------------------------------


@dataclass
class Way:
    """A place from which the slices are opened, and what each step took.

    Attributes
    ----------
    name : str
    open : callable
        Gives an array of theirs.
    server : Server or None
    seconds, asked : dict
        By step: of each round; requests and bytes of the last.
    """

    name: str
    open: Callable[[], Any]
    server: Server | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)

    def run(self, values: np.ndarray, pause: float) -> None:
        """Do each step once, and compare what was read."""
        array: Any = None
        for name, step in STEPS.items():
            if self.server is not None:
                self.server.ask(pause)
            start = time.perf_counter()
            array = self.open() if name == "open" else array
            found = None if name == "open" else np.asarray(step(array))
            self.seconds.setdefault(name, []).append(time.perf_counter() - start)
            if self.server is not None:
                self.asked[name] = self.server.ask(pause)
            assert found is None or np.array_equal(found, step(values)), (self.name, name)


def make(folder: Path) -> np.ndarray:
    """The slices as files, in two zips; and as an array."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 400, SHAPE).astype(np.uint16)
    (folder / "slices").mkdir()
    for number, plane in enumerate(values):
        tifffile.imwrite(folder / "slices" / f"s_{number:04d}.tif", plane)
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / f"{name}.zip", "w", method, compresslevel=1) as archive:
            for path in sorted((folder / "slices").iterdir()):
                archive.write(path, path.name)
    return values


def ways(folder: Path, http: Server, s3: Server) -> list[Way]:
    """All places, and a peer at two of them."""
    options = {**KEYS, "endpoint_url": s3.url}
    files = fsspec.filesystem("s3", **options)
    files.mkdir("bucket")
    files.put(str(folder / "slices"), "bucket/slices", recursive=True)
    names = [f"s_{number:04d}.tif" for number in range(SHAPE[0])]

    def ours(path: str, **more: Any) -> Callable[[], Any]:
        return lambda: brainxr.open(path, spacing=100, plane="axial", **more).data

    numbered = f"s_{{0000..{SHAPE[0] - 1:04d}}}.tif"
    return [
        Way("folder", ours(str(folder / "slices"))),
        Way("zip, stored", ours(str(folder / "stored.zip"))),
        Way("zip, deflated", ours(str(folder / "deflated.zip"))),
        Way("HTTP", ours(f"{http.url}/slices/{numbered}"), http),
        Way("zip at HTTP, stored", ours(f"{http.url}/stored.zip"), http),
        Way("zip at HTTP, deflated", ours(f"{http.url}/deflated.zip"), http),
        Way("S3", ours("s3://bucket/slices", storage_options=options), s3),
        Way("HTTP, peer", lambda: peer([f"{http.url}/slices/{n}" for n in names], {}), http),
        Way("S3, peer", lambda: peer([f"s3://bucket/slices/{n}" for n in names], options), s3),
    ]


def peer(urls: Sequence[str], options: dict[str, Any]) -> da.Array:
    """What one writes by hand: fsspec, tifffile and a delayed slice for each."""

    def read(url: str) -> np.ndarray:
        with fsspec.open(url, **options) as file:
            return np.asarray(tifffile.imread(file))

    first = read(urls[0])
    slices = [da.from_delayed(dask.delayed(read)(url), first.shape, first.dtype) for url in urls]
    return da.stack(slices)


# --- what is told -------------------------------------------------------------------


def measure(folder: Path, repeats: int) -> tuple[list[Way], list[Way]]:
    """All ways in turn: as fast as this machine answers, and with a pause before each answer."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    values = make(folder)
    with serving(serve_http, str(folder)) as http, serving(serve_s3) as s3:
        near = ways(folder, http, s3)
        far = [Way(w.name, w.open, w.server) for w in near if w.server is not None]
        for way in near:  # what is timed should not import
            way.run(values, 0.0)
            way.seconds.clear()
        for _ in range(repeats):
            for way in near:
                way.run(values, 0.0)
            for way in far:
                way.run(values, PAUSE)
    return near, far


def tables(near: list[Way], far: list[Way]) -> str:
    """Requests and bytes once, and both times, as Markdown."""
    steps = list(STEPS)
    asked = table(
        ["requests and kB", *steps],
        [
            [way.name, *(f"{n}, {size / 1e3:,.0f} kB" for n, size in map(way.asked.get, steps))]  # type: ignore[misc]
            for way in near if way.server is not None
        ],
    )  # fmt: skip
    parts = [f"{way.name} ({PAUSE * 1e3:.0f} ms)" for way in far]
    times = table(
        ["median of " + str(len(near[0].seconds["open"])), *steps],
        [
            [name, *(show_seconds(statistics.median(way.seconds[step])) for step in steps)]
            for name, way in zip([*(w.name for w in near), *parts], [*near, *far], strict=True)
        ],
    )
    machine = describe_machine()
    words = (
        f"{SHAPE[0]} slices of {SHAPE[1]} x {SHAPE[2]} uint16 ({2 * np.prod(SHAPE) / 1e6:.0f} MB), "
        f"on {machine['processor']}, {machine['cores']} cores, measured {time.strftime('%Y-%m-%d')}"
    )
    return f"{words}.\n\n{asked}\n\n{times}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.remote", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--write", action="store_true", help="renew the tables in the page")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        told = tables(*measure(Path(folder), options.repeats))
    print(told)
    if options.write:
        write_block(PAGE, "remote", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
