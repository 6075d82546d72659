"""A user's SQL, answered by a process of its own: whatever the query does, it ends in time, and no memory but
its own is used up.

DuckDB looks at its limits between two blocks of rows. What is expensive inside one block (`repeat('x',
2000000000)`) passes them, and the rows of an answer are not DuckDB's memory at all. The limits here are the
operating system's.
"""

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forecast_lib.errors import FatalError, TickercastError, UsageError

__all__ = ["Question", "ask", "main"]

MOST_BYTES = 2_000_000_000
MOST_ROWS = 100_000
"""Rows on a terminal or in a pipe; a file gets all of them."""

SECONDS, GRACE_S = 60.0, 5.0


@dataclass(frozen=True)
class Question:
    """What is asked, and what it may cost.

    Attributes:
        output: where the rows are written, in the format.
        most_rows: the first so many; None for all.
    """

    published: str
    sql: str
    format: str
    output: str
    most_rows: int | None = None
    most_bytes: int = MOST_BYTES
    seconds: float = SECONDS


def ask(question: Question) -> tuple[int, bool]:
    """Have the answer written.

    Returns:
        Number of rows written, and whether there were more.

    Raises:
        UsageError: the query is wrong, too slow or too large.
        TickercastError: something else is, for example the published file.
    """
    # -P: a folder of the user's named flows is not ours.
    command = [sys.executable, "-P", "-m", "flows.commands.questions"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            said = _said(process, question)
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"the query took longer than {question.seconds:g} s and was stopped: ask for less"
            ) from None
        finally:
            process.kill()  # does nothing to one that has ended
    return _heard(said, question)


def _said(process: "subprocess.Popen[str]", question: Question) -> str:
    with process.stdin as asking:  # type: ignore[union-attr]  # both are pipes
        asking.write(json.dumps(asdict(question)))
    process.stdin = None
    process.stdout.readline()  # type: ignore[union-attr]  # its time begins when its libraries are there
    return process.communicate(timeout=question.seconds + GRACE_S)[0]


def _heard(said: str, question: Question) -> tuple[int, bool]:
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:  # it was ended from outside, or ran out of memory where nothing can be said any more
        raise UsageError(
            f"the query needs more memory than {question.most_bytes / 1e9:g} GB and was stopped: ask for less"
        ) from None
    if "error" in answer:
        kind = UsageError if answer["exit_code"] == UsageError.exit_code else FatalError
        raise kind(answer["error"])
    return answer["rows"], answer["more"]


def _write(question: Question) -> dict[str, Any]:
    from flows.output import write_rows
    from forecast_lib.store.published import reader

    print(flush=True)
    most = question.most_rows
    read = reader.query if question.format == "parquet" else reader.read_rows
    answer = read(
        Path(question.published), question.sql, None if most is None else most + 1, timeout_s=question.seconds
    )
    more = most is not None and len(answer) > most
    shown = answer.head(most) if most is not None else answer
    write_rows(shown, question.format, Path(question.output))
    return {"rows": len(shown), "more": more}


def main() -> None:
    """Read a question from standard input, write its rows, and say on standard output how that went."""
    question = Question(**json.load(sys.stdin))
    most, granted = question.most_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]
    if granted != resource.RLIM_INFINITY:  # it may be lowered only
        most = min(most, granted)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        said = _write(question)
    except TickercastError as error:
        said = {"error": str(error), "exit_code": getattr(error, "exit_code", 1)}
    except MemoryError:
        return
    print(json.dumps(said))


if __name__ == "__main__":
    main()
