"""What a result costs before it is computed: tasks, and bytes for a worker."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import brainxr
from benchmarks.peers import PEERS
from benchmarks.stacks import Stacks


@dataclass
class Graph:
    """The optimised dask graph of a whole stack.

    Attributes
    ----------
    slices : int
    way : str
    tasks : int
    whole, largest : int
        Bytes of the pickled graph, and of the largest single value in it.
    """

    slices: int
    way: str
    tasks: int
    whole: int
    largest: int


def graphs(stacks: Stacks) -> list[Graph]:
    """Graphs of brainxr for every number of slices, of the peers for the first."""
    found = []
    for count in stacks.size.counts:
        folder = stacks.path(stacks.many(count))
        found.append(graph_of(count, "brainxr", brainxr.open(folder).data))
    folder = stacks.path(stacks.many(stacks.size.slices))
    peers = [peer for peer in PEERS.values() if peer.missing is None]
    return found + [graph_of(stacks.size.slices, peer.name, peer.open(folder)) for peer in peers]


def graph_of(slices: int, way: str, array: Any) -> Graph:
    """Measure the graph of one array."""
    import cloudpickle
    import dask

    tasks = dict(dask.optimize(array)[0].__dask_graph__())
    pickled = [len(cloudpickle.dumps(task, pickle.HIGHEST_PROTOCOL)) for task in tasks.values()]
    return Graph(slices, way, len(tasks), len(cloudpickle.dumps(tasks)), max(pickled))
