"""Creates stores: mapped from a file or in the process's own memory, as large as address space allows."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable

from otel_obs.cells.layout import Header
from otel_obs.cells.store import Store, StoreFullError
from otel_obs.host.descriptors import Descriptor, standard_taken
from otel_obs.host.signals import raise_interruption

INDEX_BYTES = 24 << 20
CELLS_BYTES = 40 << 20
_LEAST_INDEX_BYTES = 96 << 10


def heap_store(started_s: float, worker: bytes) -> Store:
    """A store in this process's own memory, which no other process reads.

    Raises:
        StoreFullError: There is no memory.
    """
    return _largest(
        lambda header: Store(_own_memory(header), header, lambda start, length: None), started_s, worker
    )


def _own_memory(header: Header) -> mmap.mmap:
    size = header.cells_at + header.cells_bytes
    # Private: a forked child that writes here before it has started over must not change its parent's cells.
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)


def _largest(make: Callable[[Header], Store], started_s: float, worker: bytes, factor: int = 1) -> Store:
    """The largest possible store: address space may be limited, and a small store is better than none."""
    index_bytes, cells_bytes = INDEX_BYTES * factor, CELLS_BYTES * factor
    while True:
        header = Header(os.getpid(), started_s, worker, index_bytes, cells_bytes)
        try:
            return make(header)
        except (OSError, MemoryError, ValueError) as error:
            raise_interruption(error)
            # Only want of memory calls for a smaller store; MemoryError and ValueError have no errno.
            if getattr(error, "errno", errno.ENOMEM) != errno.ENOMEM:
                raise
            if index_bytes <= _LEAST_INDEX_BYTES:
                raise StoreFullError(f"there is no memory for it: {error}") from error
            index_bytes, cells_bytes = index_bytes // 4, cells_bytes // 4


def file_store(
    opened: Descriptor,
    started_s: float,
    worker: bytes,
    index_bytes: int = 0,
    cells_bytes: int = 0,
    factor: int = 1,
) -> Store:
    """A store in the new, empty file *opened*, which the store owns.

    The whole reservation is sparse and mapped once; `posix_fallocate` backs each part before it is
    touched, so that a full file system raises an error there instead of a SIGBUS at a later write.

    Args:
        opened: Open for reading and writing.
        started_s: Unix seconds.
        worker: The id of the worker that owns the store.
        index_bytes: The size of the index; 0 chooses the sizes of the index and the cells.
        cells_bytes: The size of the cells.
        factor: Multiplies the default sizes, where sizes are chosen.

    Raises:
        OSError: The file cannot be sized or mapped.
        StoreFullError: The file system has no room for the first pages, or there is no address space.
    """

    def make(header: Header) -> Store:
        size = header.cells_at + header.cells_bytes
        os.ftruncate(opened.number, size)
        with standard_taken():  # a map keeps a descriptor of its own
            memory = mmap.mmap(opened.number, size)
        return Store(memory, header, lambda start, length: os.posix_fallocate(opened.number, start, length))

    try:
        if index_bytes:
            store = make(Header(os.getpid(), started_s, worker, index_bytes, cells_bytes))
        else:
            store = _largest(make, started_s, worker, factor)
    except BaseException:
        # There is no store yet that owns it.
        opened.close()
        raise
    store.own(opened)
    return store
