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
from flows.output import expected, show_file, write_rows
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import FatalError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["forecasts", "latest_report", "published_path", "report", "risk", "sql", "tables"]


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


def _write(request: Request, frame: "pd.DataFrame", **summary: Any) -> Outcome:
    refuse_bytes(request)
    write_rows(frame, request.format, request.settings["output"])
    return Outcome(
        0, {"rows": len(frame), "format": request.format, "output": request.settings["output"], **summary}
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
    with tempfile.TemporaryDirectory() as folder:
        where = Path(output).expanduser().absolute() if output else Path(folder) / "rows"
        rows, more = ask(
            Question(
                str(path), _statement(request.words[0]), format, str(where), None if output else MOST_ROWS
            )
        )
        if output is None:
            show_file(where)
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
        return Path(word).expanduser().read_text(encoding="utf-8-sig")
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
    holdings = read_holdings(Path(request.settings["holdings"]))
    frame = portfolio_risk(published_path(request.settings.workspace), holdings, request.settings["step"])
    return _write(request, frame, **frame.iloc[0][["var01", "es01", "currency"]].to_dict())


def tables(request: Request) -> Outcome:
    """Every table, view and column with its comment."""
    from forecast_lib.store.published.reader import data_dictionary

    frame = data_dictionary(published_path(request.settings.workspace))
    if request.words:
        names = frame["object"].str.partition("(")[0]  # a macro's parameters are no part of its name
        for word in request.words:
            if word.lower() not in set(names):
                raise UsageError(
                    f"{word[:60]!a} is no table, view or macro: {expected(word.lower(), names.unique())}"
                )
        frame = frame[names.isin([word.lower() for word in request.words])].reset_index(drop=True)
    return _write(request, frame)


def _refuse_absent(asked: tuple[str, ...], frame: "pd.DataFrame") -> None:
    there = sorted(set(frame["ticker"]))
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
    if request.words and "tickers" in request.overrides:
        raise UsageError("tickers were given twice: name them after `forecasts` or by --tickers")
    if "universe" in request.overrides:
        from flows.settings.layers import read_universe

        return parse_tickers(read_universe(request.overrides["universe"]).tickers)
    return parse_tickers(
        request.words or (request.settings["tickers"] if "tickers" in request.overrides else ())
    )


def forecasts(request: Request) -> Outcome:
    """The published run's forecasts, of all tickers or of those named."""
    from forecast_lib.jobs.monitor.standing import latest_forecasts

    frame = latest_forecasts(published_path(request.settings.workspace))
    asked = _asked(request)
    if asked:
        _refuse_absent(asked, frame)
        frame = frame[frame["ticker"].isin(asked)].reset_index(drop=True)
    runs = sorted(set(frame["run_id"]))
    return _write(request, frame, run_id=runs[0] if runs else None)


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

    port = request.settings["reports_port"]
    if not 0 <= port <= 65_535:
        raise UsageError(f"reports-port {port} is out of range: expected 0 to 65535")
    with serving_reports({"": folder}, port) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"{address}/  stop with Ctrl-C", flush=True)
        _open(request, address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        threading.Event().wait()
    return Outcome(0, {"report": address})


def _open(request: Request, address: str) -> None:
    if request.settings["open"] and not webbrowser.open(address):
        print("tickercast: no browser could be started; open the address by hand", file=sys.stderr)
