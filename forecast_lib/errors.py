"""Three families of error, by what the caller does: try again, skip the ticker, or stop.

Every message says which thing, what came, what was expected and what to do, in one line. Foreign errors
become ours at the border where they arise, once.
"""

from collections.abc import Sequence

__all__ = [
    "AuditFailed",
    "BadReply",
    "FatalError",
    "FileRefused",
    "Interrupted",
    "LedgerMismatch",
    "ModelDamaged",
    "NoPrices",
    "OutOfSpace",
    "RateLimited",
    "SchemaTooNew",
    "SourceGivenUp",
    "SourceOutage",
    "StoreDamaged",
    "TickerError",
    "TickerHeld",
    "TickercastError",
    "TooFewSessions",
    "TrainingDiverged",
    "TransientError",
    "UnknownTicker",
    "UsageError",
    "WorkspaceBusy",
    "shown",
    "some_of",
]


def shown(text: str) -> str:
    """A text from outside, in a message: printable and not too long."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many there are beside them.

    >>> some_of(["a", "b", "c"], most=1)
    'a and 2 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class TickercastError(Exception):
    """Base of all errors that Tickercast raises on purpose; its text is one line for the user."""


class TransientError(TickercastError):
    """The same call may succeed later: try again with back-off."""


class RateLimited(TransientError):
    """The source refuses because of too many requests."""


class SourceOutage(TransientError):
    """The source cannot be reached or answers with a server error."""


class SourceGivenUp(SourceOutage):
    """So many tickers failed that this source is not asked for more in this run: no use in trying again at
    once.
    """


class BadReply(TransientError):
    """The source answered, but with something that is no price table."""


class TickerError(TickercastError):
    """This ticker cannot go on tonight; the others can. `ticker` and `reason` are fields, `rule` a stable
    short name, that of the class where none is given.
    """

    usual_rule = "ticker_error"

    def __init__(self, ticker: str, reason: str, *, rule: str | None = None) -> None:
        super().__init__(f"{ticker}: {reason}")
        self.ticker = ticker
        self.reason = reason
        self.rule = rule or self.usual_rule

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders: rebuild from the fields, not from the message."""
        return _rebuild, (type(self), self.ticker, self.reason, self.rule)


def _rebuild(kind: type[TickerError], ticker: str, reason: str, rule: str) -> TickerError:
    return kind(ticker, reason, rule=rule)


class UnknownTicker(TickerError):
    """The source has no such ticker."""

    usual_rule = "unknown_ticker"


class NoPrices(TickerError):
    """The source knows the ticker but has no usable row for the sessions asked for."""

    usual_rule = "no_rows"


class TooFewSessions(TickerError):
    """The history is too short for the window and the horizon."""


class TickerHeld(TickerError):
    """A table rule holds the ticker back; `rule` names it."""


class TrainingDiverged(TickerError):
    """Loss or weights became NaN or infinite."""


class ModelDamaged(TickerError):
    """A stored model does not match its recorded SHA-256, or cannot be read."""


class FatalError(TickercastError):
    """The run cannot go on. `exit_code` is the process's exit code."""

    exit_code = 1


class UsageError(FatalError):
    """Wrong usage or settings: the user must change what was asked for."""

    exit_code = 2

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it in a notebook: the one line, and not the way to where it arose."""
        return [f"{type(self).__name__}: {self}"]


class FileRefused(UsageError):
    """A price file that cannot be read without guessing; names the file, and the line where there is one."""


class WorkspaceBusy(FatalError):
    """Another run holds the workspace."""

    exit_code = 75


class Interrupted(FatalError):
    """A signal ended the run; `exit_code` is the one that shells expect, 128 and the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StoreDamaged(FatalError):
    """A database file is missing, unreadable or not what the ledger says."""


class LedgerMismatch(StoreDamaged):
    """The working database lacks runs that the ledger records as finished."""


class OutOfSpace(FatalError):
    """The disk (or the memory granted to the database) is used up; what was stored before is untouched."""


class SchemaTooNew(FatalError):
    """The database was written by a newer Tickercast."""


class AuditFailed(FatalError):
    """The tables about to be published break a rule; nothing was published."""
