"""A dask array that remembers that it is a selection from a stack.

dask pushes an index into the reader only for one step of indexing, never for
negative steps, lists or transposes, and not at all where its fusion is switched
off, as napari does. ``StackDaskArray`` composes indices itself, before there is a
graph: whatever chain of selections led to it, each task reads just its part.

That the type survives is also a proof: a DataArray whose data are a
``StackDaskArray`` is a pure selection of its source, whose values nothing changed.
Any arithmetic gives an ordinary dask array.
"""

from __future__ import annotations

from operator import getitem
from typing import Any, Self

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import get_scheduler
from dask.callbacks import Callback
from dask.highlevelgraph import HighLevelGraph
from dask.tokenize import tokenize
from dask.utils import IndexCallable, ensure_dict

from brainxr.geometry.lookalike import Lookalike
from brainxr.lazy.chunking import ChunksLike, fill_auto, plan_chunks
from brainxr.lazy.daskfold import reduce_stack
from brainxr.lazy.lazyarray import StackArray, vectorised_index

_GRAPH: Any = vars(da.Array)["dask"]  # the slot in which dask keeps the graph
_NO_GRAPH = HighLevelGraph({}, {})


class StackDaskArray(da.Array, metaclass=Lookalike):
    """A lazy selection from a stack, as a dask array.

    Parameters
    ----------
    stack : StackArray
    chunks : "auto", int, -1 or mapping of int to int, str
        By axis of the *stored* stack (slices, rows, columns) where it is a
        mapping, so that a rule outlives transposes and dropped axes.
    """

    # no slots of its own: an array that is assigned to becomes a plain one in place
    __slots__ = ()

    stack: StackArray
    rule: ChunksLike

    def __new__(cls, stack: StackArray, chunks: ChunksLike = "auto") -> Self:
        sizes = plan_chunks(stack, chunks)
        name = f"brainxr-{tokenize(stack, sizes)}"
        meta = np.empty((0,) * stack.ndim, stack.dtype)
        self = super().__new__(cls, _NO_GRAPH, name, sizes, meta=meta)
        self.stack = stack
        self.rule = chunks
        return self

    @property
    def dask(self) -> HighLevelGraph:
        """The graph, made when it is asked for: most of a chain of selections never are."""
        graph = _GRAPH.__get__(self)
        if graph is _NO_GRAPH and hasattr(self, "rule"):
            self.dask = graph = self._make_graph()
        return graph

    @dask.setter
    def dask(self, graph: HighLevelGraph) -> None:
        _GRAPH.__set__(self, graph)

    def _make_graph(self) -> HighLevelGraph:
        if self.npartitions == 1:  # a plane: half of dask's time for it goes with the rest
            task: Any = {(self.name, *(0,) * self.ndim): (getitem, self.stack, ())}
            return HighLevelGraph.from_collections(self.name, task)
        return da.from_array(
            self.stack, chunks=self.chunks, name=self.name, meta=self._meta, asarray=False
        ).dask

    @staticmethod
    def __dask_optimize__(graph: Any, keys: Any, **_: Any) -> Any:
        """Leave tasks out that are not asked for; each of the others is one read already."""
        return ensure_dict(graph.cull(set(dask.core.flatten([keys]))))

    def __array__(self, dtype: Any = None, copy: Any = None, **kwargs: Any) -> npt.NDArray[Any]:
        """The values, read here: tasks take dask longer, and reading has threads of its own.

        Where somebody chose a scheduler, made a cluster or watches the tasks, it is dask's.
        """
        is_plain = copy is not False and dtype in (None, self.dtype)
        if is_plain and _is_left_to_threads():
            return self.stack.read()
        return np.asarray(super().__array__(dtype, copy=copy, **kwargs))

    def __getitem__(self, index: Any) -> da.Array:
        if not _is_outer(index):
            return super().__getitem__(index)
        return type(self)(self.stack.select(index), self.rule)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.__class__ = da.Array  # type: ignore[assignment]  # no selection any more

    @property
    def vindex(self) -> Any:
        """Vectorised indexing, which reads the points and not the chunks around them."""
        return IndexCallable(self._read_vectorised)

    def _read_vectorised(self, key: Any) -> da.Array:
        arrays = vectorised_index(key, self.shape)
        points = _Points(self.stack, arrays)
        return da.from_array(points, chunks=-1, meta=np.empty((0,) * points.ndim, self.dtype))

    def transpose(self, *axes: Any) -> da.Array:
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = tuple(axes[0] or ())
        order = tuple(int(axis) % self.ndim for axis in axes)
        return type(self)(self.stack.transpose(*order), self.rule)

    @property
    def T(self) -> da.Array:
        return self.transpose()

    def rechunk(
        self, chunks: Any = "auto", threshold: Any = None, block_size_limit: Any = None,
        balance: bool = False, method: Any = None,
    ) -> da.Array:  # fmt: skip
        """The same selection read in other pieces; nothing is read twice for it."""
        if chunks == "auto" and block_size_limit is None and not balance:
            return type(self)(self.stack, "auto")
        if isinstance(chunks, dict) and block_size_limit is None:
            chunks = self._without_auto(chunks)
        plain = super().rechunk(chunks, threshold, block_size_limit, balance, method)
        sizes = {axis: max(c) for axis, c in zip(self.stack.order, plain.chunks, strict=True)}
        same = type(self)(self.stack, sizes)
        return same if same.chunks == plain.chunks else plain

    def _without_auto(self, chunks: dict[Any, Any]) -> dict[Any, Any]:
        """Sizes for a rechunk, those that are left to us planned for whole rows."""
        given = {axis % self.ndim: size for axis, size in chunks.items() if size is not None}
        sizes = {a: given.get(a, c) for a, c in enumerate(self.chunks)}
        if "auto" not in sizes.values():
            return chunks
        by_stored = {self.stack.order[a]: size for a, size in sizes.items()}
        if any(isinstance(size, str) and size != "auto" for size in sizes.values()):
            return chunks  # "16 MiB" along an axis
        filled = fill_auto(self.stack, by_stored)
        return {a: filled[axis] for a, axis in enumerate(self.stack.order)}

    def copy(self) -> Self:
        return type(self)(self.stack, self.rule)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """numpy's functions, through which xarray reduces; ours where we have a better one."""
        folded = reduce_stack(self.stack, func, args[1:], kwargs) if args[0] is self else None
        return super().__array_function__(func, types, args, kwargs) if folded is None else folded

    def __reduce__(self) -> Any:
        return type(self), (self.stack, self.rule)


def _is_left_to_threads() -> bool:
    """Whether dask would compute on its own threads, and nobody be told."""
    return get_scheduler(cls=da.Array) is da.Array.__dask_scheduler__ and not Callback.active


class _Points:
    """Voxels chosen by vectorised indexing, read when they are asked for."""

    def __init__(self, stack: StackArray, index: tuple[npt.NDArray[np.intp], ...]) -> None:
        self.stack = stack
        self.index = index
        self.shape = np.broadcast_shapes(*(array.shape for array in index))
        self.ndim = len(self.shape)
        self.dtype = stack.dtype

    def reads(self, key: Any) -> StackArray:
        """The box around the points, of which no more is read than that."""
        return self.stack.select(tuple(np.unique(part) for part in self.index))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        # dask asks for the one chunk that there is
        return np.asarray(self.stack.read_vectorised(*self.index)[key])

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self.stack, self.index


def stacks_read(array: da.Array) -> list[StackArray]:
    """The parts of stacks that the chunks of an array need, by its graph."""
    layers: Any = array.__dask_graph__()
    graph = dict(layers.cull(list(dask.core.flatten(array.__dask_keys__()))))
    parts: list[StackArray] = []
    for task in graph.values():
        arguments = task[1:] if isinstance(task, tuple) else getattr(task, "args", ())
        source, key = [*arguments, None, None][:2]
        found: Any = graph.get(getattr(source, "key", None), source)
        if hasattr(found, "reads"):
            parts.append(found.reads(getattr(key, "value", key)))
    return parts


def _is_outer(index: Any) -> bool:
    """Whether numpy, dask and the stack mean the same by it: ints, slices, at most one list."""
    parts = index if isinstance(index, tuple) else (index,)
    lists = 0
    for part in parts:
        if isinstance(part, int | np.integer | slice) or part is Ellipsis:
            continue
        if not isinstance(part, list | np.ndarray) or np.ndim(part) > 1:
            return False
        lists += np.ndim(part)
    return lists <= 1


def refuse_query_planning() -> None:
    """Refuse dask's experimental array expressions, under which selections fail."""
    if dask.config.get("array.query-planning", False):
        raise RuntimeError(
            "dask's experimental 'array.query-planning' is switched on, under which indexing with "
            "lists and xarray's reductions fail. Switch it off before dask.array is imported: "
            "dask.config.set({'array.query-planning': False}), or unset the environment variable "
            "DASK_ARRAY__QUERY_PLANNING; or open with chunks=None, without dask."
        )
