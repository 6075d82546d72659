"""How many threads matrix products use, NumPy's and SciPy's: one.

How a product is divided among threads decides the order of its sums, and so its last bits. Products as small
as ours gain nothing from a second thread, while tickers are worked on side by side. The limit holds for the
whole process and is never lifted: a limit for the length of a block, as one thread leaves it, would be lifted
for the others too.
"""

import functools

from threadpoolctl import threadpool_limits

__all__ = ["use_one_thread"]


@functools.cache
def use_one_thread(library: str = "NumPy") -> None:
    """From the first call on, matrix products of this process are computed by one thread each.

    Args:
        library: whose; it has been imported. SciPy has products of its own, and comes later.
    """
    threadpool_limits(limits=1)
