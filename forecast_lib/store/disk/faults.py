"""Named points of a write at which a test may stop the process.

A promise about killed processes can only be tested if the process can be killed at the worst moment. The
functions that write call `reached(point)` at those moments; outside tests that does nothing.
"""

from collections.abc import Callable

__all__ = ["Reached", "go_on"]

Reached = Callable[[str], None]
"""Called with the name of the point that was reached."""


def go_on(point: str) -> None:
    """What normally happens at a fault point: nothing."""
