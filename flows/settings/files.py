"""Profile and universe files: settings and tickers that somebody wrote down."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.output import expected
from flows.settings.options import PREFIX, known_keys
from flows.settings.renames import renames_from
from flows.settings.texts import as_text, path_of
from forecast_lib.config import Rename
from forecast_lib.errors import UsageError

__all__ = [
    "DEPLOYMENTS",
    "NAME",
    "PROFILES",
    "Universe",
    "is_name",
    "profile_names",
    "read_profile",
    "read_universe",
    "refuse_unknown",
]

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
"""Profiles and universes lie here, in the repository and in the installed package alike."""

PROFILES = PREFIX + "PROFILES"
NAME = "[a-z0-9][a-z0-9_-]{0,40}"
"""Pattern of the names of profiles and shipped universes."""
_MAX_TEXT_BYTES = 1_000_000


def _read_text(path: Path, what: str) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise UsageError(
                f"{what} {path} is larger than {_MAX_TEXT_BYTES} bytes: expected a short text file"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"{what} {path} cannot be read: {error.strerror or error}; give the path of a readable file"
        ) from None


def _read_toml(path: Path, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_text(path, what))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} {path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(
            f"{what} {path} is nested too deeply: expected plain values and lists of them"
        ) from None


def refuse_unknown(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    """Keys that are none, each named.

    Raises:
        UsageError: there are some.
    """
    unknown = [ascii(key) for key in keys if key not in known]
    if unknown:
        near = expected(unknown[0].strip("'"), known)
        raise UsageError(f"{where} sets {', '.join(unknown[:10])}, which is not known: {near}")


def _profiles_folder(environ: Mapping[str, str]) -> Path:
    named = environ.get(PROFILES)
    return path_of(named, PROFILES) if named else DEPLOYMENTS / "profiles"


def profile_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The profiles that are there, by name."""
    return tuple(sorted(path.stem for path in _profiles_folder(environ).glob("*.toml")))


def read_profile(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of a profile file, as text. The folder is `TICKERCAST_PROFILES`, else the one shipped in
    deployments/.

    Raises:
        UsageError: no such profile, no TOML, or a key that is no setting.
    """
    path = _profiles_folder(environ) / f"{name}.toml"
    if not is_name(name) or not path.is_file():
        raise UsageError(
            f"profile {name!a} is not known: expected one of {', '.join(profile_names(environ)) or 'none'}"
        )
    content = _read_toml(path, "profile")
    refuse_unknown(content, known_keys(), f"profile {name}")
    return {key: as_text(value) for key, value in content.items()}


def is_name(text: str) -> bool:
    """Whether it could be the name of a profile or of a shipped universe, and no path."""
    return re.fullmatch(NAME, text) is not None


@dataclass(frozen=True)
class Universe:
    """The names in a universe file, as written, and its renames."""

    tickers: tuple[str, ...]
    renames: tuple[Rename, ...] = ()


def read_universe(name: str) -> Universe:
    """A universe file: TOML with `tickers = [...]` and maybe `[renames]`, or plain text with one name a line
    and # comments.

    Args:
        name: a path, or the name of a universe in deployments/universes.
    """
    shipped = DEPLOYMENTS / "universes" / f"{name}.toml"
    path = (
        shipped
        if is_name(name) and shipped.is_file() and not Path(name).is_file()
        else path_of(name, "universe")
    )
    if path.suffix != ".toml":
        lines = (line.partition("#")[0].strip() for line in _read_text(path, "universe").splitlines())
        return Universe(tuple(line for line in lines if line))
    content = _read_toml(path, "universe")
    refuse_unknown(content, ("name", "market", "tickers", "renames"), f"universe {path}")
    tickers = content.get("tickers")
    if not isinstance(tickers, list) or not all(isinstance(ticker, str) for ticker in tickers):
        raise UsageError(f'universe {path} has no list of tickers: expected tickers = ["AAPL", "MSFT"]')
    return Universe(tuple(tickers), renames_from(content.get("renames", {}), tickers, f"universe {path}"))
