"""Signals that end a command, told from whatever they interrupt.

DuckDB looks for signals while it works: what a handler raises is lost there, and comes out as "RuntimeError:
Query interrupted", which reads like a mistake of ours; and a library whose import is cut short makes an
ImportError of it. So a signal is noted when it comes, and an error after it means the signal. Where Python
can only ignore what a handler raises, as in a destructor or while it lets go of a module's lock, the signal
is sent once more.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from forecast_lib.errors import Interrupted

__all__ = ["Terminated", "mute", "noted", "raising", "signal_of"]

_ENDING = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.05


class Terminated(BaseException):
    """SIGTERM came: like KeyboardInterrupt, no error of the program."""


def mute() -> None:
    """For the last words of a process: DuckDB's binding complains of references that Prefect's threads still
    hold.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Inside the block SIGTERM raises `Terminated`, as SIGINT raises KeyboardInterrupt; a flow of Prefect
    puts its own way before it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def signal_of(error: KeyboardInterrupt | Terminated) -> signal.Signals:
    """The signal that an exception stands for."""
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Inside the block signals do what they did before, and an error that comes after one is raised as what
    the signal means.

    Raises:
        KeyboardInterrupt: SIGINT came, whatever error it led to.
        Terminated: SIGTERM came, likewise; inside a flow TerminationSignal, Prefect's own exception.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        came.append(number)
        before[signal.Signals(number)](number, frame)

    def again(ignored: "sys.UnraisableHookArgs") -> None:
        if not came or issubclass(ignored.exc_type, Exception):
            earlier(ignored)
        else:
            threading.Timer(_AGAIN_S, signal.pthread_kill, (main, came[0])).start()

    main = threading.main_thread().ident or 0
    earlier, sys.unraisablehook = sys.unraisablehook, again
    for number in before:
        signal.signal(number, note)
    try:
        yield
    except Exception as error:
        meant = _meaning(came[0], before[signal.Signals(came[0])]) if came else None
        if meant is None or isinstance(error, Interrupted):
            raise
        raise meant from error
    finally:
        sys.unraisablehook = earlier
        for number, handler in before.items():
            signal.signal(number, handler)


def _meaning(number: int, handler: Callable[[int, Any], Any]) -> BaseException | None:
    """What the handler raises for the signal, asked once more."""
    try:
        handler(number, None)
    except BaseException as meant:
        return meant
    return None
