"""A flow that does next to nothing: what a scheduled run runs in the test of the server."""

from pathlib import Path

from prefect import flow

__all__ = ["tiny"]


@flow(name="tiny")
def tiny(parameters: dict[str, str]) -> str:
    """Leaves a line in a file, as proof that it ran."""
    with Path("ran.txt").open("a") as lines:
        lines.write(parameters["profile"] + "\n")
    return parameters["profile"]
