"""What is interrupted: `tickercast` with a function of ours that takes its time."""

import importlib
import os
import sys

import duckdb

from flows.cli import main

__all__ = ["work_a_while"]

A_WHILE = "SELECT count(*) FROM range(100000000) AS a WHERE a.range % 7 = 3"
"""Longer than it takes to send a signal."""


def work_a_while(module: str, name: str, err: str, *words: str) -> None:
    """Be `tickercast`; before a function of ours, say so, and let DuckDB work. Errors are said to a file."""
    place = importlib.import_module(module)
    original = getattr(place, name)

    def slow(*args: object, **named: object) -> object:
        print("working", flush=True)
        duckdb.sql(A_WHILE).fetchall()
        return original(*args, **named)

    os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    setattr(place, name, slow)
    sys.exit(main(words))
