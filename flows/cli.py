"""The `tickercast` command. Imports nothing heavy: `--help` answers at once, and `sql` waits for no
framework.

Whatever the user did wrong ends in one line on standard error and an exit code; a traceback is for our own
mistakes, and goes to the log.
"""

import argparse
import atexit
import contextlib
import difflib
import gc
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from flows.commands import Outcome, Request, handler
from flows.commands.advice import advised
from flows.output import expected, one_line
from flows.running.interruption import Terminated, noted, raising, signal_of
from flows.settings.commands import COMMANDS, Command
from flows.settings.layers import (
    Settings,
    gather,
    reach_loopback_directly,
    secret_texts,
    unknown_variables,
    utc_now,
    without_secrets,
)
from flows.settings.options import Option, options_of
from flows.streams import lasting_streams
from forecast_lib.errors import TickercastError, UsageError

__all__ = ["main", "overview", "parse", "parser_for"]

_COUNTS: dict[str, str | None] = {"one": None, "maybe": "?", "many": "*"}
FAILED = 1

# The libraries of a run leave a million objects that stay. Looking through them for circles each time that a
# few hundred more have come takes a tenth of a small run, and once more at its end a second.
gc.set_threshold(50_000, 10, 10)
atexit.register(gc.freeze)


class _Parser(argparse.ArgumentParser):
    """Argparse that raises our error instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _described(option: Option) -> str:
    of = f"of {', '.join(option.choices)}, " if option.choices else ""
    parts = [f"one or more {of}separated by commas"] if option.kind in ("choices", "names") else []
    parts += [f"default: {option.default}"] if option.default is not None and option.kind != "flag" else []
    text = f"{option.said.help} ({'; '.join([*parts, option.variable])})"
    return text.replace("%", "%%")


def parser_for(command: Command) -> argparse.ArgumentParser:
    """The parser of one command, built from the tables of options. Values stay text: `Option.parse` makes
    them.
    """
    parser = _Parser(
        prog=f"tickercast {command.name}",
        description=command.help,
        epilog=(
            "In brackets: the default, and the environment variable of the same setting. A profile file sets"
            " them too."
        ),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    if command.positional:
        words = command.positional
        parser.add_argument("words", metavar=words.name.upper(), nargs=_COUNTS[words.count], help=words.help)
    for option in options_of(command):
        help_text = _described(option)
        if option.kind == "flag":
            parser.add_argument(
                option.flag, dest=option.name, action="store_const", const="true", help=help_text
            )
        else:
            metavar = "{" + ",".join(option.choices) + "}" if option.kind == "choice" else option.said.metavar
            parser.add_argument(option.flag, dest=option.name, metavar=metavar, help=help_text)
    return parser


def overview() -> str:
    """What `tickercast` without a command prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command.name.ljust(width)}  {command.help}" for command in COMMANDS.values()]
    return "\n".join(
        [
            "usage: tickercast COMMAND [options]",
            "",
            "Nightly, honest price forecasts for a list of tickers.",
            "",
            *lines,
            "",
            (
                "`tickercast COMMAND --help` lists the options. Exit codes: 0 fresh, 10 some tickers"
                " degraded, 1 failed, 2 wrong usage,"
            ),
            "75 another run holds the workspace, 130 or 143 interrupted.",
            "",
        ]
    )


def _refuse(what: str, name: str, known: Iterable[str], prog: str) -> NoReturn:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(f"{what} {name[:60]!a} is not known{hint}: {expected(name, known)}; see `{prog} --help`")


def parse(argv: Sequence[str]) -> tuple[Command, dict[str, str], tuple[str, ...]]:
    """The command, its options as text, and its positional arguments.

    Raises:
        UsageError: an unknown command or option, or a value that is missing.
    """
    if argv[0] not in COMMANDS:
        _refuse("option" if argv[0].startswith("-") else "command", argv[0], COMMANDS, "tickercast")
    command = COMMANDS[argv[0]]
    known, unknown = parser_for(command).parse_known_args(argv[1:])
    if unknown:
        options = [*(option.flag for option in options_of(command)), "--help"]
        what = "option" if unknown[0].startswith("-") else "argument"
        _refuse(what, unknown[0].partition("=")[0], options, f"tickercast {command.name}")
    overrides = dict(vars(known))
    words = overrides.pop("words", ())
    return command, overrides, (words,) if isinstance(words, str) else tuple(words or ())


class _Call:
    """One call of the command line: what could be read of it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = argv
        self.overrides: dict[str, str] = {}
        self.settings: Settings | None = None

    def do(self) -> Outcome:
        """Read it, once, and do what it says."""
        command, self.overrides, words = parse(self.argv)
        self.settings = gather(self.overrides)
        reach_loopback_directly()
        for name, meant in unknown_variables().items():
            print(
                f"tickercast: {name} is set, but there is no such setting: did you mean {meant}?",
                file=sys.stderr,
            )
        outcome = handler(command)(Request(command.name, self.settings, self.overrides, words))
        if self.settings["json"]:
            _print_summary(command.name, outcome.exit_code, outcome.summary)
        return outcome

    def without_secrets(self, text: str) -> str:
        """The text as it may be shown."""
        return without_secrets(text, self.settings.hidden if self.settings else secret_texts(self.overrides))

    def failed(self, message: str, exit_code: int) -> int:
        """One line for people, and, where it was asked for, one for programs."""
        settings = self.settings
        if settings is None:  # what the environment says holds although the command line is wrong
            with contextlib.suppress(TickercastError):
                settings = gather({})
        message = advised(message.strip(), settings.repeated if settings else {})
        message = one_line(self.without_secrets(message))
        print(f"tickercast: {message}", file=sys.stderr)
        if "--json" in self.argv or (settings and settings["json"]):
            _print_summary(self.argv[0] if self.argv else "", exit_code, {"error": message})
        return exit_code

    def unexpected(self, error: Exception) -> int:
        """The traceback goes to the log, or where it was asked for."""
        text = self.without_secrets("".join(traceback.format_exception(error)))
        if "--debug" in self.argv:
            print(text, file=sys.stderr, end="")
            where = "the traceback is above"
        else:
            path = self._write_log(text)
            where = f"the traceback is in {path}" if path else "add --debug to see the traceback"
        said = f"unexpected {type(error).__name__}: {str(error)[:300] or 'no message'}; {where}"
        return self.failed(said, FAILED)

    def _write_log(self, text: str) -> Path | None:
        """To `logs/` in the workspace; None where that cannot be written."""
        if self.settings is None:
            return None
        path = self.settings.workspace / "logs" / f"error-{utc_now():%Y%m%dT%H%M%S}-{os.getpid()}.log"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # a traceback may quote what only the owner should read
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return path
        return None


def _print_summary(command: str, exit_code: int, summary: Mapping[str, Any]) -> None:
    print(json.dumps({"command": command, "exit_code": exit_code, **summary}, default=str), flush=True)


def _let_go(error: BaseException | None) -> None:
    """Drop the frames that an error holds, and with them its database connections: they complain when the
    program ends first.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _version() -> str:
    from importlib.metadata import version

    return f"tickercast {version('tickercast')}"


def _answer(call: _Call) -> int:
    argv = call.argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0
    if argv[0] == "--version":
        print(_version())
        return 0
    exit_code = call.do().exit_code
    sys.stdout.flush()  # a disk that is full is noticed here, not when the interpreter ends
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        argv: the arguments without the program's name; those of the process when None.

    Returns:
        The exit code: 0 fresh, 10 degraded, 1 failed, 2 wrong usage, 75 workspace busy, 130 or 143
            interrupted.
    """
    call = _Call(list(sys.argv[1:] if argv is None else argv))
    with lasting_streams():
        return _ended(call)


def _ended(call: _Call) -> int:
    try:
        with raising(), noted():
            return _answer(call)
    except TickercastError as error:
        _let_go(error)
        return call.failed(str(error), getattr(error, "exit_code", FAILED))
    except (KeyboardInterrupt, Terminated) as error:
        came = signal_of(error)
        return call.failed(f"interrupted by {came.name}; what was published before stays", 128 + came)
    except SystemExit as left:  # argparse, after --help
        return left.code if isinstance(left.code, int) else FAILED
    except Exception as error:
        return call.unexpected(error)


if __name__ == "__main__":
    sys.exit(main())
