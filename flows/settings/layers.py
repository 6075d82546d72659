"""Command line, environment and profile files, made into one frozen value: the settings, gathered once a run.

The only reader of the environment and of the clock. The first that speaks wins: command line (or flow
parameters), environment, profile file, default. A process that is started for a run gets the command line's
options by `export`, as variables: paths never travel as flow parameters, where anybody with the address of
the server could set them.
"""

import datetime as dt
import difflib
import os
import re
import urllib.parse
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from flows.settings.files import PROFILES, is_name, read_profile, refuse_unknown
from flows.settings.options import OPTIONS, PREFIX
from flows.settings.texts import as_text, path_of
from forecast_lib.errors import UsageError

__all__ = [
    "Settings",
    "environment",
    "export",
    "forget_prefect_address",
    "gather",
    "prefect_address",
    "prepare_process",
    "reach_loopback_directly",
    "secret_texts",
    "unknown_variables",
    "utc_now",
    "without_secrets",
]

Built = TypeVar("Built")

_RIVALS = {"tickers": "universe", "universe": "tickers"}
"""Two names for one question: who is asked for. The one that was said with more authority silences the other.
"""

_IMPLIES = {option.name: option.said.implies for option in OPTIONS.values() if option.said.implies}

_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_API_HOST": "127.0.0.1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""On the command line the run's log goes to the server's page, where there is one; the terminal shows
progress.
"""


@dataclass(frozen=True)
class Settings:
    """Every option's value, and how the user named it where it was given.

    Attributes:
        values: option name to parsed value; None where nothing was given and there is no default.
        given: option name to what the user called it, for example `--horizon` or `TICKERCAST_HORIZON`;
            without the defaults.
        hidden: secrets that a text for people might repeat, the longest first.
    """

    values: Mapping[str, Any] = field(repr=False)  # some of them are secrets
    given: Mapping[str, str]
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def made(self, kind: type[Built], **known: Any) -> Built:
        """A value of a class of settings.

        Args:
            known: fields that are no settings, or are known better.

        Raises:
            UsageError: a setting is out of its range.
        """
        of_it = {each.field: self.values[each.name] for each in OPTIONS.values() if each.owner is kind}
        paths = {name: value.absolute() for name, value in of_it.items() if isinstance(value, Path)}
        return kind(**{**{k: v for k, v in of_it.items() if v is not None}, **paths, **known})

    def asked(self, name: str) -> bool:
        """Whether the command line, or a flow's parameter, gave it."""
        return self.given.get(name) == OPTIONS[name].flag

    @property
    def workspace(self) -> Path:
        """The workspace as an absolute path."""
        folder: Path = self.values["workspace"]
        return folder.absolute()

    @property
    def repeated(self) -> dict[str, str]:
        """Profile and workspace where the user named them, for the commands that a message proposes."""
        return {
            name: str(self.values[name])
            for name in ("profile", "workspace")
            if self.given.get(name, "").startswith((OPTIONS[name].flag, PREFIX))
        }


def utc_now() -> dt.datetime:
    """The clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def environment() -> dict[str, str]:
    """The environment as it is now, for a child process."""
    return dict(os.environ)


def prefect_address(use: str | None = None) -> str | None:
    """The address of the Prefect server that the environment names, or None.

    Args:
        use: name this server in the environment from now on.
    """
    if use is not None:
        os.environ["PREFECT_API_URL"] = use
    return os.environ.get("PREFECT_API_URL") or None


def forget_prefect_address() -> None:
    """Name no server in the environment any more: a run starts one for its own length."""
    os.environ.pop("PREFECT_API_URL", None)


_LOOPBACK = ("127.0.0.1", "localhost")


def reach_loopback_directly(environ: MutableMapping[str, str] = os.environ) -> None:
    """Name loopback in `no_proxy` where it is not: a machine's `http_proxy` would be asked for the Prefect
    server on this machine too, by Prefect and by us.
    """
    named = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    if "*" not in hosts:
        environ["no_proxy"] = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))


def prepare_process(*, quiet: bool, environ: MutableMapping[str, str] = os.environ) -> None:
    """Defaults of Prefect and TensorFlow for this process, before either is imported; what is set already
    stays.

    No telemetry, results as JSON and never pickled, a server that listens on this machine only, and time for
    it to start.
    """
    for name in _SECRET_VARIABLES:
        if not environ.get(name, "unset"):
            # An empty password is none: Prefect's server would ask for it, and its client would not give it.
            del environ[name]
    for name, value in {**_PREFECT, **(_QUIET if quiet else {})}.items():
        environ.setdefault(name, value)
    if "PREFECT_API_URL" not in environ:
        environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false" if quiet else "true")


# --- the layers


def _layers(overrides: Mapping[str, object], environ: Mapping[str, str]) -> list[dict[str, tuple[str, str]]]:
    """The settings that were given, strongest layer first: name to (text, how the user called it)."""
    spoken = {
        name: (as_text(value), OPTIONS[name].flag) for name, value in overrides.items() if value is not None
    }
    exported = {
        name: (environ[option.variable], option.variable)
        for name, option in OPTIONS.items()
        if environ.get(option.variable)
    }
    profile = spoken.get("profile") or exported.get("profile")
    written = read_profile(profile[0], environ) if profile else {}
    filed = (
        {name: (text, f"{name} in profile {profile[0]}") for name, text in written.items()} if profile else {}
    )
    return [spoken, exported, filed]


def _refuse_both(layer: Mapping[str, tuple[str, str]]) -> None:
    if "tickers" in layer and "universe" in layer:
        raise UsageError(
            f"{layer['tickers'][1]} and {layer['universe'][1]} were both given: give one of them"
        )
    for name, (other, value) in _IMPLIES.items():
        if name in layer and layer.get(other, (value, ""))[0] != value:
            raise UsageError(
                f"{layer[name][1]} was given, but {layer[other][1]} is {layer[other][0]!r}: it needs"
                f" {OPTIONS[other].flag} {value}"
            )


def _implied(name: str, layer: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What a setting says about others: files imply their source, another source forgets the files, and so
    on; tickers silence the universe.
    """
    other, value = _IMPLIES.get(name, ("", ""))
    if other and other not in layer:
        return {other: (value, layer[name][1])}
    forgotten = [
        each
        for each, (other, value) in _IMPLIES.items()
        if other == name and each not in layer and layer[name][0] != value
    ]
    return dict.fromkeys([*forgotten, *([_RIVALS[name]] if name in _RIVALS else [])], ("", ""))


def _merge(layers: Iterable[dict[str, tuple[str, str]]]) -> dict[str, tuple[str, str]]:
    merged: dict[str, tuple[str, str]] = {}
    for layer in layers:
        _refuse_both(layer)
        implied = {key: said for name in layer for key, said in _implied(name, layer).items()}
        merged = {**implied, **layer, **merged}
    return {name: said for name, said in merged.items() if said != ("", "")}


def gather(overrides: Mapping[str, object], *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Every setting, from the strongest layer that gives it.

    Args:
        overrides: option name to text or value: the command line, or a flow's parameters. None counts as not
            given.

    Raises:
        UsageError: an unknown name, a value of the wrong kind, an unknown profile.
    """
    refuse_unknown(overrides, OPTIONS, "the call")
    said = _merge(_layers(overrides, environ))
    texts = {name: said.get(name, (option.default, option.flag)) for name, option in OPTIONS.items()}
    values = {
        name: None if text is None else OPTIONS[name].parse(text, called)
        for name, (text, called) in texts.items()
    }
    given = {name: called for name, (_, called) in said.items()}
    settings = Settings(values, given, secret_texts(overrides, values, environ=environ))
    _refuse_a_file(settings.workspace, texts["workspace"][1])
    return settings


def _refuse_a_file(folder: Path, called: str) -> None:
    """A folder that cannot be made, because something on the way to it is a file."""
    found = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not found.is_dir():
        raise UsageError(f"{called} {folder} cannot be a folder: {found} is a file; name another")


_SECRET_VARIABLES = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_KEY")
_SHORTEST_SECRET = 4
"""A shorter password would be replaced inside ordinary words."""


def secret_texts(
    overrides: Mapping[str, object],
    values: Mapping[str, Any] = MappingProxyType({}),
    *,
    environ: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """What must not be shown: the values of secret settings and of Prefect's, and the passwords in them; the
    longest first.

    Args:
        values: the settings that were made of it, where they could be.

    >>> secret_texts({"proxy": "http://me:letmein@host:1"}, environ={})
    ('http://me:letmein@host:1', 'letmein')
    """

    def said(name: str) -> set[str]:
        """As it was given, in any layer."""
        texts = (overrides.get(name), environ.get(OPTIONS[name].variable), values.get(name))
        return {str(text) for text in texts if text}

    whole = {environ[name] for name in _SECRET_VARIABLES if environ.get(name)}
    whole |= {text for option in OPTIONS.values() if option.said.secret for text in said(option.name)}
    places = said("publish_to")
    # The rest of it may be shown.
    whole |= {found[1] for place in places if (found := re.search(r"://([^/]*@)", place))}
    parts = {part for text in whole for part in re.split(r"[\s,]+", text)}
    passwords = {
        found[1]
        for text in parts
        if (found := re.search(r":([^:/@]+)@", text) or re.fullmatch(r"[^:/]+:([^/]+)", text))
    }
    shown = {each for text in whole | parts | passwords for each in (text, urllib.parse.unquote(text))}
    return tuple(
        sorted((text for text in shown if len(text) >= _SHORTEST_SECRET), key=lambda text: (-len(text), text))
    )


def without_secrets(text: str, hidden: Iterable[str]) -> str:
    """The text with every secret replaced by `***`: for messages that were made by others.

    >>> without_secrets("no answer from http://me:letmein@host:1", ("letmein",))
    'no answer from http://me:***@host:1'
    """
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that start like ours but are none, and what was meant: spelling mistakes, most likely.

    >>> unknown_variables({"TICKERCAST_HORIZN": "5", "TICKERCAST_SEED": "1"})
    {'TICKERCAST_HORIZN': 'TICKERCAST_HORIZON'}
    """
    known = [*(option.variable for option in OPTIONS.values()), PROFILES]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return {name: difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0] for name in unknown}


def export(overrides: Mapping[str, object], environ: MutableMapping[str, str] = os.environ) -> None:
    """Make the command line's options settings of this process and its children: `gather({})` then gives the
    same values there.

    Paths are made absolute, because a child may work in another folder.
    """
    given = {name: as_text(value) for name, value in overrides.items() if value is not None}
    for name, text in given.items():
        kind = OPTIONS[name].kind
        if (
            kind == "path"
            or (kind == "place" and "://" not in text)
            or (name == "universe" and not is_name(text))
        ):
            given[name] = str(path_of(text, OPTIONS[name].flag).absolute())
    said = {name: (text, OPTIONS[name].flag) for name, text in given.items()}
    implied = {key: text for name in said for key, (text, _) in _implied(name, said).items()}
    for name, text in {**implied, **given}.items():
        environ[OPTIONS[name].variable] = text
