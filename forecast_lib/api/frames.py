"""Frames of pandas, polars and Arrow: what comes in is answered in kind."""

import importlib
import operator
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import narwhals.stable.v2 as nw
import pandas as pd

from forecast_lib.errors import UsageError

__all__ = ["Kind", "as_kind", "brought_by_extra", "like", "pandas_of", "reading_as"]

Kind = Literal["pandas", "polars", "arrow"]
_READERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pandas": ("df", ()),
    "polars": ("pl", ("polars", "pyarrow")),
    "arrow": ("to_arrow_table", ("pyarrow",)),
}
"""By kind, the method of a DuckDB relation that makes it, and the packages that this needs."""
_KEYS = ("unique_id", "ds", "cutoff")


def brought_by_extra(module: str, extra: str) -> ModuleType:
    """A module of a package that is installed by an extra only.

    Raises:
        UsageError: it is not installed; names the extra.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:  # one of its own requirements
            raise
        raise UsageError(
            f"{package} is not installed: pip install 'tickercast[{extra}]' brings it"
        ) from error


def reading_as(kind: Kind) -> Callable[[Any], Any]:
    """What makes a frame of this kind of a DuckDB relation, without a detour by pandas.

    Raises:
        UsageError: the kind is unknown, or its extra is not installed.
    """
    if kind not in _READERS:
        raise UsageError(f"frames {kind!r} is not known: expected one of {', '.join(_READERS)}")
    reader, packages = _READERS[kind]
    for package in packages:
        brought_by_extra(package, kind)
    return operator.methodcaller(reader)


def _known(frame: Any) -> nw.DataFrame[Any]:
    try:
        return nw.from_native(frame, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        raise UsageError(f"{' '.join(str(error).split())}: expected each column once") from error
    except TypeError as error:
        came = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        raise UsageError(
            f"expected a frame of pandas, polars or Arrow, came {came}: collect a lazy one first"
        ) from error


def pandas_of(frame: Any, needed: Sequence[str] = ()) -> pd.DataFrame:
    """The same frame of pandas; one of pandas as it is.

    Args:
        needed: columns that it must have.

    Raises:
        UsageError: it is no frame, has a column twice, or lacks one.
    """
    known = _known(frame)
    if missing := [name for name in needed if name not in known.columns]:
        came = ", ".join(map(str, known.columns))
        raise UsageError(
            f"the frame has no column {', '.join(missing)}: expected {', '.join(needed)}, came {came}"
        )
    if known.implementation.is_pandas():
        return known.to_native()
    return pd.DataFrame({name: _column(known[name]) for name in known.columns})


def _column(series: nw.Series[Any]) -> Any:
    """Its values; times with a zone keep it."""
    zone = getattr(series.dtype, "time_zone", None)
    values = series.to_numpy()
    return values if zone is None else pd.DatetimeIndex(values, tz="UTC").tz_convert(zone)


def like(frame: pd.DataFrame, given: Any) -> Any:
    """The frame as one of the kind of `given`, its keys of the same types, so that the two can be joined."""
    known = _known(given)
    if known.implementation.is_pandas():
        return frame
    types = {name: kind for name, kind in known.schema.items() if name in _KEYS and name in frame.columns}
    if "ds" in types and "cutoff" in frame.columns:
        types["cutoff"] = types["ds"]
    same = [
        nw.col(name).cast(kind) for name, kind in types.items() if name == "unique_id" or kind.is_temporal()
    ]
    return _of(frame, known.implementation).with_columns(*same).to_native()


def as_kind(frame: pd.DataFrame, kind: Kind) -> Any:
    """The frame as one of this kind."""
    return frame if kind == "pandas" else _of(frame, "pyarrow" if kind == "arrow" else kind).to_native()


def _of(frame: pd.DataFrame, backend: Any) -> nw.DataFrame[Any]:
    return nw.from_dict({str(name): _values(column) for name, column in frame.items()}, backend=backend)


def _values(column: pd.Series) -> Any:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return column.to_numpy("datetime64[us]")
    return column.to_numpy() if pd.api.types.is_numeric_dtype(column.dtype) else column.tolist()
