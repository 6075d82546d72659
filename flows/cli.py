"""The `tickercast` command. Imports nothing heavy: `--help` answers at once, and `sql` waits for no
framework.

Whatever the user did wrong ends in one line on standard error and an exit code; a traceback is for our own
mistakes, and goes to the log.
"""

import argparse
import contextlib
import difflib
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
from flows.settings import layers as settings_module
from flows.settings.options import COMMANDS, Command, Option, options_of
from forecast_lib.errors import TickercastError, UsageError

__all__ = ["main", "overview", "parse", "parser_for"]

_COUNTS: dict[str, str | None] = {"one": None, "maybe": "?", "many": "*"}
FAILED = 1


class _Parser(argparse.ArgumentParser):
    """Argparse that raises our error instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _described(option: Option) -> str:
    parts = [f"one or more of {', '.join(option.choices)}"] if option.kind == "choices" else []
    parts += [f"default: {option.default}"] if option.default is not None and option.kind != "flag" else []
    text = f"{option.help} ({'; '.join([*parts, option.variable])})"
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
            metavar = "{" + ",".join(option.choices) + "}" if option.kind == "choice" else option.metavar
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


def _do(argv: Sequence[str]) -> Outcome:
    command, overrides, words = parse(argv)
    settings = settings_module.gather(overrides)
    for name, meant in settings_module.unknown_variables().items():
        print(
            f"tickercast: {name} is set, but there is no such setting: did you mean {meant}?", file=sys.stderr
        )
    outcome = handler(command.name)(Request(command.name, settings, overrides, words))
    if settings["json"]:
        _print_summary(command.name, outcome.exit_code, outcome.summary)
    return outcome


def _print_summary(command: str, exit_code: int, summary: Mapping[str, Any]) -> None:
    print(json.dumps({"command": command, "exit_code": exit_code, **summary}, default=str), flush=True)


def _wants_json(argv: Sequence[str]) -> bool:
    """Whether the summary was asked for, by the command line or by a setting that can be read."""
    with contextlib.suppress(TickercastError):
        return "--json" in argv or bool(settings_module.gather({})["json"])
    return False


def _typed(argv: Sequence[str]) -> dict[str, str]:
    """The options of the command line, as far as it can be read."""
    with contextlib.suppress(TickercastError, SystemExit, IndexError):
        return parse(argv)[1]
    return {}


def _repeated(argv: Sequence[str]) -> dict[str, str]:
    with contextlib.suppress(TickercastError):
        return settings_module.gather(_typed(argv)).repeated
    return {}


def _failed(argv: Sequence[str], message: str, exit_code: int) -> int:
    """One line for people, and, where it was asked for, one for programs."""
    message = advised(message.strip(), _repeated(argv))
    message = one_line(settings_module.without_secrets(message, settings_module.secret_texts(_typed(argv))))
    print(f"tickercast: {message}", file=sys.stderr)
    if _wants_json(argv):
        _print_summary(argv[0] if argv else "", exit_code, {"error": message})
    return exit_code


def _write_log(argv: Sequence[str], text: str) -> Path | None:
    """The traceback goes to `logs/` in the workspace; None where that cannot be written."""
    with contextlib.suppress(OSError, TickercastError):
        _, overrides, _ = parse(argv)
        folder = settings_module.gather(overrides).workspace / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"error-{settings_module.utc_now():%Y%m%dT%H%M%S}-{os.getpid()}.log"
        path.touch(mode=0o600)  # a traceback may quote what only the owner should read
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path
    return None


def _let_go(error: BaseException | None) -> None:
    """Drop the frames that an error holds, and with them its database connections: they complain when the
    program ends first.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _unexpected(argv: Sequence[str], error: Exception) -> int:
    text = settings_module.without_secrets(
        "".join(traceback.format_exception(error)), settings_module.secret_texts(_typed(argv))
    )
    if "--debug" in argv:
        print(text, file=sys.stderr, end="")
        where = "the traceback is above"
    else:
        path = _write_log(argv, text)
        where = f"the traceback is in {path}" if path else "add --debug to see the traceback"
    return _failed(
        argv, f"unexpected {type(error).__name__}: {str(error)[:300] or 'no message'}; {where}", FAILED
    )


def _version() -> str:
    from importlib.metadata import version

    return f"tickercast {version('tickercast')}"


def _answer(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0
    if argv[0] == "--version":
        print(_version())
        return 0
    exit_code = _do(argv).exit_code
    sys.stdout.flush()  # a reader that has left is noticed here, not when the interpreter ends
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        argv: the arguments without the program's name; those of the process when None.

    Returns:
        The exit code: 0 fresh, 10 degraded, 1 failed, 2 wrong usage, 75 workspace busy, 130 or 143
            interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with raising(), noted():
            return _answer(argv)
    except TickercastError as error:
        _let_go(error)
        return _failed(argv, str(error), getattr(error, "exit_code", FAILED))
    except (KeyboardInterrupt, Terminated) as error:
        came = signal_of(error)
        return _failed(argv, f"interrupted by {came.name}; what was published before stays", 128 + came)
    except BrokenPipeError:
        # Whoever read our output has gone, for example `head`: what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as left:  # argparse, after --help
        return left.code if isinstance(left.code, int) else FAILED
    except Exception as error:
        return _unexpected(argv, error)


if __name__ == "__main__":
    sys.exit(main())
