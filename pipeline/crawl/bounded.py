"""A limit on what this process may allocate while it reads something that could expand beyond all measure."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def bounded(more: int) -> Iterator[None]:
    """While the block runs, allocating beyond so many bytes more than this process has is a MemoryError.

    The limit is the process's: its other threads are held to it as well. On Linux.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + more
    own = [limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(own), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
