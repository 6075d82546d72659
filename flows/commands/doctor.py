"""`tickercast doctor`: what is wrong with this machine, this installation or this workspace, and what to do
about it.

Each check looks at one thing, changes nothing, and answers in a line. A check that itself breaks is a
finding, not a crash.
"""

import contextlib
import datetime as dt
import email.utils
import functools
import http.client
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import stat
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.requirements import Requirement

from flows.commands import Outcome, Request
from flows.commands.advice import advised
from flows.output import one_line
from flows.settings.files import DEPLOYMENTS
from flows.settings.layers import Settings, prefect_address, unknown_variables, utc_now
from flows.settings.run_config import as_of_from, source_tickers
from forecast_lib.config import SourceConfig
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import SchemaTooNew, StoreDamaged, TickercastError

__all__ = ["CHECKS", "Finding", "doctor", "examine"]

OK, WARN, FAIL = "OK", "WARN", "FAIL"
MIN_FREE_BYTES = 1_000_000_000
NETWORK_FILE_SYSTEMS = "nfs nfs4 cifs smb3 smbfs fuse.sshfs 9p afs ceph glusterfs".split()
CLOCK_TOLERANCE = dt.timedelta(minutes=5)
YAHOO = "https://query2.finance.yahoo.com"
_PROBE_DAYS, _PATIENCE_S = 14, 5.0
_SET_CLOCK = "set the clock, and let the system keep it: timedatectl set-ntp true"
_REINSTALL = "install what the lock says: pip install --no-deps --require-hashes -r requirements.lock"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer. `cure` is empty where nothing is to be done."""

    level: str
    check: str
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Patient:
    """What is looked at."""

    settings: Settings
    now: dt.datetime

    @property
    def workspace(self) -> Path:
        """The workspace that the settings name."""
        return self.settings.workspace


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_python(patient: Patient) -> Finding:
    """The interpreter."""
    return Finding(OK, "python", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def _required() -> Iterator[Requirement]:
    """What Tickercast needs of libraries here, and what Prefect does, by their installed metadata."""
    for package in ("tickercast", "prefect"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            for line in importlib.metadata.requires(package) or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    yield needed


def check_libraries(patient: Patient) -> Iterable[Finding]:
    """Versions that do not go together break in ways that are hard to see."""
    needed = list(_required())
    bad = False
    for each in needed:
        if each.name.startswith("tensorflow"):
            continue  # either build will do
        version = _installed(each.name)
        if version is None:
            yield Finding(FAIL, each.name, f"is not installed; expected {each.specifier}", _REINSTALL)
        elif not each.specifier.contains(version, prereleases=True):
            yield Finding(FAIL, each.name, f"{version} is installed; expected {each.specifier}", _REINSTALL)
        else:
            continue
        bad = True
    if not bad:
        yield Finding(OK, "libraries", f"{len({each.name for each in needed})}, of versions that go together")


def check_tensorflow(patient: Patient) -> Finding:
    """The two builds own the same files: the one that was installed last lies over the other."""
    with_gpu, without = _installed("tensorflow"), _installed("tensorflow-cpu")
    if with_gpu and without:
        cure = "uninstall both, tensorflow and tensorflow-cpu, and " + _REINSTALL
        return Finding(FAIL, "tensorflow", "two builds are installed, one over the other's files", cure)
    if not with_gpu and not without:
        return Finding(FAIL, "tensorflow", "is not installed", _REINSTALL)
    return Finding(OK, "tensorflow", with_gpu or f"{without}, without GPU code")


def _locked(lock: Path) -> dict[str, tuple[set[str], bool]]:
    """Library to the versions that the lock allows, and whether it is for every machine."""
    locked: dict[str, tuple[set[str], bool]] = {}
    for name, version, rest in re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)([^\n]*)", lock.read_text(), re.MULTILINE
    ):
        versions, everywhere = locked.setdefault(name.lower(), (set(), ";" not in rest))
        versions.add(version)
        locked[name.lower()] = (versions, everywhere and ";" not in rest)
    return locked


def check_lock(patient: Patient) -> Finding:
    """What is installed against what the lock says."""
    lock = DEPLOYMENTS.parent / "requirements.lock"
    if not lock.is_file():
        return Finding(OK, "lock", "no requirements.lock beside the program; nothing to compare with")
    locked = _locked(lock)
    installed = {name: _installed(name) for name in locked}
    other = [
        f"{name} {installed[name]}"
        for name, (versions, _) in locked.items()
        if installed[name] and installed[name] not in versions
    ]
    missing = [name for name, (_, everywhere) in locked.items() if everywhere and installed[name] is None]
    if other or missing:
        shown = ", ".join([*other, *(f"{name} missing" for name in missing)][:8])
        return Finding(
            WARN,
            "lock",
            f"{len(other)} of {len(locked)} libraries differ, {len(missing)} are missing: {shown}",
            _REINSTALL,
        )
    return Finding(OK, "lock", f"{len(locked)} libraries as locked")


def check_settings(patient: Patient) -> Finding:
    """Variables that nobody reads."""
    unknown = unknown_variables()
    if unknown:
        return Finding(
            WARN,
            "settings",
            f"{', '.join(list(unknown)[:10])} are set, but no such setting exists",
            f"mend the spelling: {', '.join(list(unknown.values())[:10])}?",
        )
    return Finding(OK, "settings", f"{len(patient.settings.given)} settings given")


def check_workspace(patient: Patient) -> Finding:
    """Can be made, or written to, and is nobody else's to write."""
    folder = patient.workspace
    if not folder.exists():
        parent = next(path for path in folder.parents if path.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            return Finding(
                FAIL,
                "workspace",
                f"{folder} cannot be made: {parent} is not writable",
                "give --workspace DIR, or the rights",
            )
        return Finding(OK, "workspace", f"{folder} does not exist yet; the first run makes it")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            FAIL,
            "workspace",
            f"{folder} is not writable: {error.strerror}",
            "give --workspace DIR, or the rights",
        )
    quoted = shlex.quote(str(folder))
    if folder.stat().st_mode & stat.S_IWOTH:
        return Finding(
            WARN, "workspace", f"{folder} can be changed by every user of this machine", f"chmod o-w {quoted}"
        )
    foreign = _foreign(folder)
    if foreign:
        shown = ", ".join(path.name for path in foreign[:5])
        cure = f"chown -R --reference={quoted} {quoted}, and run it as that user only"
        return Finding(
            FAIL,
            "workspace",
            f"{len(foreign)} files in {folder} belong to another user or cannot be written: {shown}",
            cure,
        )
    return Finding(OK, "workspace", str(folder))


def _foreign(folder: Path) -> list[Path]:
    """What a run must write, and cannot or could not once it is run as the owner of the folder: left by a run
    as root, most likely.
    """
    owner = folder.stat().st_uid
    needed = [
        *folder.glob("*.duckdb"),
        *folder.glob("*.jsonl"),
        folder / ".lock",
        *(path for path in folder.iterdir() if path.is_dir()),
    ]
    return sorted(
        path
        for path in needed
        if path.exists() and (path.stat().st_uid != owner or not os.access(path, os.W_OK))
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def check_disk(patient: Patient) -> Finding:
    """Room for the next run: a run needs the databases twice, besides the snapshot."""
    folder = _existing(patient.workspace)
    held = sum(path.stat().st_size for path in patient.workspace.glob("*.duckdb"))
    free, needed = shutil.disk_usage(folder).free, max(MIN_FREE_BYTES, 3 * held)
    text = f"{free / 1e9:.1f} GB free"
    if free < needed:
        return Finding(
            FAIL,
            "disk",
            f"{text}; expected {needed / 1e9:.1f} GB",
            "free some space, or keep fewer snapshots",
        )
    return Finding(OK, "disk", text)


_ESCAPED = re.compile(r"\\([0-7]{3})")
"""A space in the name of a mount point, as the kernel lists it."""


def check_file_system(patient: Patient) -> Finding:
    """File locks do not hold on network file systems."""
    folder, mounts = _existing(patient.workspace).resolve(), Path("/proc/mounts")
    if not mounts.is_file():
        return Finding(OK, "file system", "unknown on this system; the workspace must lie on a local disk")
    entries = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    places = [(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), point), kind) for point, kind in entries]
    inside = [(Path(point), kind) for point, kind in places if folder.is_relative_to(point)]
    kind = max(inside, key=lambda entry: len(entry[0].parts), default=(Path("/"), "unknown"))[1]
    if kind in NETWORK_FILE_SYSTEMS:
        return Finding(
            FAIL,
            "file system",
            f"{folder} is on {kind}, where file locks do not hold",
            "put the workspace on a local disk",
        )
    return Finding(OK, "file system", kind)


def check_runs(patient: Patient) -> Finding:
    """Whether somebody works in the workspace, or died there."""
    from forecast_lib.jobs.monitor.standing import read_holder

    holder = read_holder(patient.workspace)
    if holder is None:
        return Finding(OK, "runs", "nobody works in the workspace")
    if holder.alive:
        return Finding(OK, "runs", f"run {holder.run} is at work, process {holder.pid}")
    return Finding(
        WARN,
        "runs",
        f"run {holder.run}, process {holder.pid}, died before it ended",
        "start a run: it takes the lock and repairs",
    )


def check_published(patient: Patient) -> Finding:
    """Whether readers can read all of it."""
    from forecast_lib.store.disk.files import PUBLISHED
    from forecast_lib.store.published.inspection import published_rows

    path = patient.workspace / PUBLISHED
    if not path.is_file():
        return Finding(WARN, "published", f"{path} does not exist", "run `tickercast nightly`")
    rows = published_rows(path)
    return Finding(OK, "published", f"{sum(rows.values())} rows in {len(rows)} tables, all readable")


def check_working(patient: Patient) -> Finding:
    """Whether the next run can open its database; looked at read-only, and not while a run works."""
    from forecast_lib.jobs.monitor.standing import read_holder
    from forecast_lib.store.published.inspection import working_state

    holder = read_holder(patient.workspace)
    if holder and holder.alive:
        return Finding(OK, "working", "not looked at while a run is at work")
    state = working_state(patient.workspace)
    if not state.exists and state.recorded_runs:
        return Finding(
            FAIL,
            "working",
            "the working database is missing, but the ledger records runs",
            "run `tickercast restore`",
        )
    if not state.exists:
        return Finding(OK, "working", "does not exist yet; the first run makes it")
    upgrade = f"; the next run applies {state.pending} schema files" if state.pending else ""
    return Finding(OK, "working", f"holds the {state.recorded_runs} runs of the ledger{upgrade}")


def check_ledger(patient: Patient) -> Finding:
    """Whether the record of what runs stored, which guards the working database, is whole itself."""
    from forecast_lib.jobs.record.takeover import ledger_loss

    if lost := ledger_loss(patient.workspace):
        return Finding(
            WARN,
            "ledger",
            lost,
            "start a run: it rebuilds the ledger from the database; and find out who deletes files there",
        )
    return Finding(OK, "ledger", "records every published run")


def check_weights(patient: Patient) -> Finding:
    """Whether the weights that the published forecasts name are there."""
    from forecast_lib.store.disk.files import PUBLISHED
    from forecast_lib.store.published.inspection import published_weights

    path, folder = patient.workspace / PUBLISHED, patient.workspace / "models"
    if not path.is_file():
        return Finding(OK, "weights", "nothing was published yet")
    try:
        names = published_weights(path)
    except StoreDamaged:
        return Finding(OK, "weights", "not looked at while the published file cannot be read")
    there = {file.name.partition(".")[0] for file in folder.rglob("*") if file.is_file()}
    missing = [name for name in names if name not in there]
    if missing:
        detail = (
            f"{len(missing)} of {len(names)} weight files are missing from {folder}, for example"
            f" {missing[0][:16]}"
        )
        return Finding(
            WARN,
            "weights",
            detail,
            "run `tickercast nightly --strategy retrain`, or bring the folder back from a backup",
        )
    return Finding(OK, "weights", f"{len(names)} weight files")


@functools.cache
def _cache_of_yahoo() -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends, not before: its client keeps the folder, and a workspace that is
    examined is not touched.
    """
    return tempfile.TemporaryDirectory()


def check_source(patient: Patient) -> Finding:
    """Asks the source for the last days of one ticker, once: whoever asks the doctor waits for it."""
    from forecast_lib.prices import open_source
    from forecast_lib.store.parquet import ParquetFiles

    source, as_of = patient.settings.made(SourceConfig), as_of_from(patient.settings, patient.now)
    named = parse_tickers(patient.settings["tickers"] or tuple(source_tickers(source, as_of)) or ("SPY",))
    cache = Path(_cache_of_yahoo().name)
    prices = open_source(source, as_of, tickers=named, cache_dir=cache, parquet=ParquetFiles(), once=True)
    first = None if source.name == "files" else as_of.day - dt.timedelta(days=_PROBE_DAYS)
    answer = prices.fetch({named[0]: first}, as_of.day)
    if problem := answer.told[named[0]].problem:
        raise problem
    return Finding(OK, "source", f"{source.name} gave {len(answer.rows)} rows of {named[0]}")


def check_clock(patient: Patient) -> Finding:
    """A clock that is wrong makes runs look at another evening's world: held against the files here, and the
    clocks of others.
    """
    stamps = [path.stat().st_mtime for path in (*patient.workspace.glob("*"), DEPLOYMENTS) if path.exists()]
    newest, says = dt.datetime.fromtimestamp(max(stamps), dt.UTC), f"says {patient.now:%Y-%m-%d %H:%M} UTC"
    if newest > patient.now + CLOCK_TOLERANCE:
        return Finding(WARN, "clock", f"{says}, but files here are of {newest:%Y-%m-%d %H:%M}", _SET_CLOCK)
    for address in _clocks(patient):
        there = _date_of(address, patient.settings["proxy"])
        if there is not None and abs(there - patient.now) > CLOCK_TOLERANCE:
            return Finding(
                WARN,
                "clock",
                f"{says}, but {urllib.parse.urlsplit(address).netloc} says {there:%Y-%m-%d %H:%M}",
                _SET_CLOCK,
            )
    return Finding(OK, "clock", f"{patient.now:%Y-%m-%d %H:%M} UTC")


def _clocks(patient: Patient) -> list[str]:
    """Servers that are asked anyway, whose answers carry the time."""
    address = prefect_address()
    yahoo = [YAHOO] if patient.settings["source"] == "yahoo" else []
    return [*([f"{address.rstrip('/')}/health"] if address else []), *yahoo]


def _date_of(address: str, proxy: str | None) -> dt.datetime | None:
    """The `Date` of a server's answer, whatever else it answers; None where there is none."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
    )
    try:
        with opener.open(urllib.request.Request(address, method="HEAD"), timeout=_PATIENCE_S) as reply:
            date = reply.headers["Date"]
    except urllib.error.HTTPError as error:
        date = error.headers["Date"]
    except (OSError, ValueError, http.client.HTTPException):
        return None
    try:
        return email.utils.parsedate_to_datetime(date) if date else None
    except ValueError:
        return None


def check_prefect(patient: Patient) -> Finding:
    """The server that the environment names."""
    from flows.service.deployments import is_up

    address = prefect_address()
    if address is None:
        return Finding(
            OK, "server", "PREFECT_API_URL is not set: a run starts a server of its own for its length"
        )
    if not is_up(address):
        return Finding(
            FAIL,
            "server",
            f"nothing answers at {address} (PREFECT_API_URL)",
            "start the server, or unset the variable",
        )
    return Finding(OK, "server", address)


Check = Callable[[Patient], "Finding | Iterable[Finding]"]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", check_python),
    ("libraries", check_libraries),
    ("tensorflow", check_tensorflow),
    ("lock", check_lock),
    ("settings", check_settings),
    ("workspace", check_workspace),
    ("disk", check_disk),
    ("file system", check_file_system),
    ("runs", check_runs),
    ("published", check_published),
    ("working", check_working),
    ("ledger", check_ledger),
    ("weights", check_weights),
    ("source", check_source),
    ("clock", check_clock),
    ("server", check_prefect),
)
"""Name and function of every check, in the order of the answer."""

_RESTORE = "run `tickercast restore`"
_CURES = {
    "source": "see the message; for yahoo, check the network and the proxy, and try again later",
    "published": _RESTORE,
    "working": _RESTORE,
}


def _looked_at(name: str, check: Check, patient: Patient) -> list[Finding]:
    try:
        found = check(patient)
        return [found] if isinstance(found, Finding) else list(found)
    except SchemaTooNew as error:
        return [Finding(FAIL, name, str(error), "install the newer Tickercast")]
    except TickercastError as error:
        return [Finding(FAIL, name, str(error), _CURES.get(name, ""))]
    except Exception as error:
        return [
            Finding(
                FAIL, name, f"the check broke: {type(error).__name__}: {error}", "report it, with this line"
            )
        ]


def examine(settings: Settings, now: dt.datetime) -> list[Finding]:
    """Every check, in order."""
    patient = Patient(settings, now)
    return [finding for name, check in CHECKS for finding in _looked_at(name, check, patient)]


def doctor(request: Request) -> Outcome:
    """Prints a line for each check; exit code 1 when one of them failed."""
    findings = examine(request.settings, utc_now())
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        cure = f" -> {finding.cure}" if finding.cure else ""
        print(
            f"{finding.level:<4}  {finding.check:<{width}} "
            f" {one_line(advised(finding.detail + cure, request.settings.repeated))}"
        )
    failed = sum(finding.level == FAIL for finding in findings)
    return Outcome(
        1 if failed else 0,
        json.loads(json.dumps({"failed": failed, "findings": [asdict(finding) for finding in findings]})),
    )
