"""Commands that read what was published. They need neither Prefect nor TensorFlow, and open nothing but the
published file.
"""

import contextlib
import signal
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands import Outcome, Request
from flows.output import expected, is_stream, pour, show_file, write_rows
from flows.settings.commands import Reports
from flows.settings.texts import path_of
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import FatalError, UsageError
from forecast_lib.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LATEST_FORECASTS",
    "forecasts",
    "latest_report",
    "published_path",
    "report",
    "risk",
    "sql",
    "tables",
]


LATEST_FORECASTS = """
SELECT * FROM latest_forecasts
WHERE ticker IN (SELECT unnest($tickers::VARCHAR[])) OR len($tickers::VARCHAR[]) = 0
ORDER BY ticker, step
"""
_TICKERS = "SELECT DISTINCT ticker FROM latest_forecasts ORDER BY 1"
_RUN = "SELECT min(run_id) FROM latest_forecasts HAVING count(*) > 0"


def published_path(workspace: Path) -> Path:
    """The published database.

    Raises:
        FatalError: nothing was published yet.
    """
    from forecast_lib.store.disk.files import PUBLISHED

    path = workspace / PUBLISHED
    if not path.is_file():
        raise FatalError(f"{path} does not exist: nothing was published yet; run `tickercast nightly` first")
    return path


def latest_report(workspace: Path) -> Path | None:
    """The newest report's page, or None."""
    path = workspace / "reports" / "latest.html"
    return path if path.is_file() else None


def _write(request: Request, answer: "Rows | pd.DataFrame", **summary: Any) -> Outcome:
    refuse_bytes(request)
    write_rows(answer, request.format, request.settings["output"])
    return Outcome(
        0, {"rows": len(answer), "format": request.format, "output": request.settings["output"], **summary}
    )


def refuse_bytes(request: Request) -> None:
    """Parquet on standard output stands alone there, and in no terminal."""
    if request.format != "parquet" or request.settings["output"] is not None:
        return
    if request.settings["json"]:
        raise UsageError(
            "--format parquet to standard output leaves no room for the line of --json: give --output FILE"
        )
    if sys.stdout.isatty():
        raise UsageError(
            "--format parquet writes bytes, and standard output is a terminal: give --output FILE"
        )


def sql(request: Request) -> Outcome:
    """Rows of the user's own query: all of them in a file, the first ones elsewhere."""
    from flows.commands.questions import MOST_ROWS, Question, ask

    path, output, format = (
        published_path(request.settings.workspace),
        request.settings["output"],
        request.format,
    )
    refuse_bytes(request)
    named = output.absolute() if output else None
    with tempfile.TemporaryDirectory() as folder:
        where = named if named and not is_stream(named) else Path(folder) / "rows"
        rows, more = ask(
            Question(
                str(path), _statement(request.words[0]), format, str(where), None if output else MOST_ROWS
            )
        )
        if named is None:
            show_file(where)
        elif where != named:
            pour(where, named)  # a pipe of this process is none of the one that answers
    if more:
        print(
            f"tickercast: only the first {rows} rows are shown; --output FILE writes all of them",
            file=sys.stderr,
        )
    return Outcome(0, {"rows": rows, "format": format, "output": output})


def _statement(word: str) -> str:
    """The SQL that the word is or names."""
    if word == "-":
        return sys.stdin.read()
    if not word.lower().endswith(".sql"):
        return word
    try:
        return path_of(word, "the file of the query").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{word} cannot be read: {getattr(error, 'strerror', None) or error}; give the path of a file"
            " with one query"
        ) from None


def risk(request: Request) -> Outcome:
    """What the holdings of a file may lose, by the published scenarios."""
    from forecast_lib.store.published.holdings import portfolio_risk, read_holdings

    if request.settings["holdings"] is None:
        raise UsageError(
            "risk needs --holdings FILE: CSV, Parquet or JSON with the columns ticker and shares"
        )
    holdings = read_holdings(request.settings["holdings"])
    frame = portfolio_risk(published_path(request.settings.workspace), holdings, request.settings["step"])
    return _write(request, frame, **frame.iloc[0][["var01", "es01", "currency"]].to_dict())


def tables(request: Request) -> Outcome:
    """Every table, view and column with its comment."""
    from forecast_lib.store.published.reader import data_dictionary

    found = data_dictionary(published_path(request.settings.workspace))
    if not request.words:
        return _write(request, found)
    names = [row["object"].partition("(")[0] for row in found.records()]  # without a macro's parameters
    asked = [word.lower() for word in request.words]
    for word in asked:
        if word not in names:
            raise UsageError(
                f"{word[:60]!a} is no table, view or macro: {expected(word, dict.fromkeys(names))}"
            )
    chosen = [row for row, name in zip(found.values, names, strict=True) if name in asked]
    return _write(request, Rows(found.columns, chosen))


def _refuse_absent(path: Path, asked: tuple[str, ...]) -> None:
    from forecast_lib.store.published.reader import read_rows

    there = [ticker for (ticker,) in read_rows(path, _TICKERS).values]
    absent = [ticker for ticker in asked if ticker not in there]
    if absent:
        shown = ", ".join(there[:20]) + (" …" if len(there) > 20 else "")
        raise UsageError(
            f"no published forecast for {', '.join(absent[:10])}: there are {len(there)} tickers,"
            f" {shown or 'none'}"
        )


def _asked(request: Request) -> tuple[str, ...]:
    """The tickers named after the command, or by --tickers; settings of the environment and the profile are
    for runs.
    """
    for option in ("tickers", "universe"):
        if request.words and request.settings.asked(option):
            raise UsageError(f"tickers were given twice: name them after `forecasts` or by --{option}")
    if request.settings.asked("universe"):
        from flows.settings.files import read_universe

        return parse_tickers(read_universe(request.settings["universe"]).tickers)
    return parse_tickers(
        request.words or (request.settings["tickers"] if request.settings.asked("tickers") else ())
    )


def forecasts(request: Request) -> Outcome:
    """The published run's forecasts, of all tickers or of those named."""
    from forecast_lib.store.published import reader

    asked, path = _asked(request), published_path(request.settings.workspace)
    if asked:
        _refuse_absent(path, asked)
    read = reader.query if request.format == "parquet" else reader.read_rows
    answer = read(path, LATEST_FORECASTS, parameters={"tickers": list(asked)})
    runs = reader.read_rows(path, _RUN).values
    return _write(request, answer, run_id=runs[0][0] if runs else None)


def report(request: Request) -> Outcome:
    """Prints the path of the newest report; serves all of them, opens it, where asked."""
    path = latest_report(request.settings.workspace)
    if path is None:
        raise FatalError(
            f"there is no report in {request.settings.workspace / 'reports'}: run `tickercast nightly` first"
        )
    if request.settings["serve"]:
        return _serve_reports(request, path.parent)
    print(path)
    _open(request, path.as_uri())
    return Outcome(0, {"report": str(path)})


def _serve_reports(request: Request, folder: Path) -> Outcome:
    """Until it is stopped, which is the usual end."""
    from flows.service.served_reports import serving_reports

    port = request.settings.made(Reports).reports_port
    with serving_reports({"": folder}, port) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"{address}/  stop with Ctrl-C", flush=True)
        _open(request, address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        threading.Event().wait()
    return Outcome(0, {"report": address})


def _open(request: Request, address: str) -> None:
    if request.settings["open"] and not webbrowser.open(address):
        print("tickercast: no browser could be started; open the address by hand", file=sys.stderr)
