"""Commands that a message proposes, as they have to be typed: by the name that the user called, for the
workspace that was meant.

Messages are written without knowing either (`run `tickercast restore``). What is shown on the terminal has
both.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["advised", "command_line"]

_PROPOSED = re.compile(r"`tickercast ([^`]+)`")


def _called() -> str:
    """What the user types before the command's name.

    The script's own path where it is not the `tickercast` that the shell finds: `.venv/bin/tickercast`, where
    nobody activated it.
    """
    script = Path(sys.argv[0])
    if script.name == "cli.py":
        return f"{shlex.quote(_near(Path(sys.executable)))} -m flows.cli"
    found = shutil.which("tickercast")
    if script.name != "tickercast" or (found and os.path.realpath(found) == os.path.realpath(script)):
        return "tickercast"
    return shlex.quote(_near(script))


def _near(path: Path) -> str:
    """The path from here where it lies below, else the whole of it."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def command_line(command: str, repeated: Mapping[str, str]) -> str:
    """The line to paste.

    Args:
        command: what follows the program's name, for example `sql "SELECT 1"`.
        repeated: options of the user's own command line that it needs too: `Settings.repeated`.

    >>> command_line("status", {"workspace": "my prices"})
    "tickercast status --workspace 'my prices'"
    """
    options = {f"--{name}": shlex.quote(value) for name, value in repeated.items()}
    return " ".join(
        [
            _called(),
            command,
            *(f"{flag} {value}" for flag, value in options.items() if f"{flag} " not in command),
        ]
    )


def advised(text: str, repeated: Mapping[str, str]) -> str:
    """The text with every command in backticks as the user has to type it.

    >>> advised("nothing is there: run `tickercast nightly` first", {"profile": "demo"})
    'nothing is there: run `tickercast nightly --profile demo` first'
    """
    return _PROPOSED.sub(lambda found: f"`{command_line(found[1], repeated)}`", text)
