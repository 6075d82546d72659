"""What a job needs of whoever runs it: its stages shown and timed, its shards worked on, its lines said, the
time of day.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record.run_log import line_of, lines_of_prices, lines_of_statuses
from forecast_lib.prices.source import Asked, Offered, PriceSource

__all__ = ["Ended", "InOrder", "Kept", "ShardFunction", "Stage", "Stages", "unseen"]

ShardFunction = Callable[..., list[Any]]
"""A function of the library that makes something of each item of a shard; it opens no database, so it may run
anywhere.
"""


Kept = Callable[[int, list[Any]], list[Any]]


def as_made(place: int, made: list[Any]) -> list[Any]:
    """All of it is kept."""
    return made


class Ended(Protocol):
    """Work on shards that was begun; called, once, to wait for its end."""

    def __call__(self, keep: Kept = as_made) -> list[Any]:
        """What the work returned, joined in the order of the shards.

        Args:
            keep: called with each shard's place and what was made of it, as soon as it is: what of it is held
                from then on.
        """
        ...


class Stage(Protocol):
    """A stage that is under way."""

    def advance(self, text: str = "", count: int = 1) -> None:
        """`count` more are done; `text` says which one, for example a ticker. May be called from any
        thread.
        """
        ...


class Stages(Protocol):
    """The stages of one run; `seconds` has each one's duration, in the order in which they ended."""

    seconds: dict[str, float]

    def now(self) -> dt.datetime:
        """The time of day, in UTC."""
        ...

    def single(self, name: str) -> AbstractContextManager[None]:
        """A stage that is one thing."""
        ...

    def keeping(self) -> None:
        """Called before anything is kept; whoever runs the job may wait with that, or end it."""
        ...

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer; each ticker that is answered is shown."""
        ...

    def begin(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        **arguments: Any,
    ) -> Ended:
        """Have the work done on every shard, after what was begun before it; the stage is shown when its end
        is waited for, where there is any shard.

        Args:
            names: of each shard, to be shown.
            arguments: of the work beside its shard, the same for all.
        """
        ...

    def say(self, sentence: str) -> None:
        """Put a sentence where a person looks for what was odd."""
        ...

    def say_prices(self, market: Market) -> None:
        """A line a ticker: what came of its prices."""
        ...

    def say_statuses(self, run_tickers: pd.DataFrame) -> None:
        """A line a ticker: what came of it."""
        ...


class _Unseen:
    def advance(self, text: str = "", count: int = 1) -> None:
        pass


def unseen() -> AbstractContextManager[Stage]:
    """A stage that nobody is shown."""
    return nullcontext(_Unseen())


class InOrder:
    """One shard after the other in this process, shown to nobody. What is made is the same wherever shards
    are worked on; who works on them elsewhere, or shows them, says so in `worked`, `counted` and `shown`.
    """

    def __init__(self, config: RunConfig, now: Callable[[], dt.datetime]) -> None:
        """Args:
        now: tells the time of day.
        """
        self.config, self.now = config, now
        self.seconds: dict[str, float] = {}

    def shown(self, name: str, total: int) -> AbstractContextManager[Stage]:
        """Show a stage with so many things to do, for the length of the block."""
        return unseen()

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[Stage]:
        """A stage with so many things to do."""
        began = time.perf_counter()
        with self.shown(name, total) as stage:
            yield stage
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @contextmanager
    def single(self, name: str) -> Iterator[None]:
        """A stage that is one thing."""
        with self.stage(name) as stage:
            yield
            stage.advance()

    def keeping(self) -> None:
        """At once."""

    def counted(self, name: str, total: int) -> AbstractContextManager[Stage]:
        """A stage of so many tickers or networks."""
        return self.stage(name, total)

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer."""
        with self.counted("ingest", len(asked)) as stage:
            return source.fetch(asked, last, stage.advance)

    def begin(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        **arguments: Any,
    ) -> Ended:
        """Have the work done on every shard, wherever shards are `worked`, and say what was made of each
        ticker when its end is waited for.
        """
        told = self.worked(name, work, shards, names, arguments)

        def ended(keep: Kept = as_made) -> list[Any]:
            made: dict[int, list[Any]] = {}
            if not shards:
                return []
            with self.counted(name, sum(map(len, shards))) as stage:
                for at, items in told:
                    made[at] = items = keep(at, items)
                    stage.advance(names[at], len(shards[at]))
                    self.log(line_of(self.config.run_id, name, item) for item in items)
            return [item for at in range(len(shards)) for item in made[at]]

        return ended

    def worked(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Iterator[tuple[int, list[Any]]]:
        """Each shard's place and what was made of it, in the order in which they are done; here not before it
        is asked for.
        """
        for at, shard in enumerate(shards):
            yield at, work(shard, **arguments)

    def say(self, sentence: str) -> None:
        """Warn."""
        self.logger().warning(sentence)

    def say_prices(self, market: Market) -> None:
        """A line a ticker: what came of its prices."""
        self.log(lines_of_prices(self.config.run_id, market))

    def say_statuses(self, run_tickers: pd.DataFrame) -> None:
        """A line a ticker: what came of it."""
        self.log(lines_of_statuses(self.config.run_id, run_tickers))

    def logger(self) -> Any:
        """Where lines go."""
        return logging.getLogger("tickercast")

    def log(self, lines: Iterable[str | None]) -> None:
        """Write down the lines that say something, where anybody keeps them."""
        logger = self.logger()
        if logger.isEnabledFor(logging.INFO):
            for line in filter(None, lines):
                logger.info(line)
