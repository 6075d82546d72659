"""Rows to be shown: plain values, so that whoever shows a few need not load pandas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Names of columns, and a sequence of values a row; None where one is missing."""

    columns: Sequence[str]
    values: Sequence[Sequence[Any]]

    @classmethod
    def of(cls, answer: "Self | pd.DataFrame") -> Self:
        """The rows of a frame; rows as they are."""
        if isinstance(answer, cls):
            return answer
        plain = answer.astype(object).where(answer.notna(), None)  # type: ignore[union-attr]
        return cls([str(name) for name in plain.columns], list(plain.itertuples(index=False, name=None)))

    def records(self) -> list[dict[str, Any]]:
        """Each row by the names of its columns.

        >>> Rows(("ticker", "step"), [("ACME", 1)]).records()
        [{'ticker': 'ACME', 'step': 1}]
        """
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]

    def head(self, most: int) -> "Rows":
        """The first so many rows."""
        return Rows(self.columns, self.values[:most])

    def only(self, *columns: str) -> "Rows":
        """Some of the columns, in that order."""
        places = [list(self.columns).index(name) for name in columns]
        return Rows(columns, [[row[place] for place in places] for row in self.values])

    def __len__(self) -> int:
        return len(self.values)
