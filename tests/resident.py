"""A process that stays and does one `tickercast` command after the other: what a command takes to start, it
takes once, and so does making a database.

Each command gets a folder, an environment and an output of its own, and nothing else of it is new: what one
leaves behind in the process would show in the next. Where a process itself is what is tested (killed,
interrupted, read while it works), it needs one of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Resident"]


class Resident:
    """The process, started when the first command comes; it ends when its input does.

    Args:
        env: its environment. Prefect reads its own settings once, so that a command cannot change them.
        first: where it keeps the first database that it makes.
    """

    def __init__(self, env: Mapping[str, str], first: Path) -> None:
        self._env, self._first = env, first
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, words: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "tests.resident", str(self._first)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._process = subprocess.Popen(command, env={**self._env}, text=True, **pipes)  # type: ignore[call-overload]
        asked, answers = self._process.stdin, self._process.stdout
        with tempfile.TemporaryDirectory() as outputs:
            print(json.dumps([outputs, str(folder), dict(env), list(words)]), file=asked, flush=True)
            code = answers.readline()
            assert code, f"the process ended with {self._process.wait()}: {words}"
            return int(code), *((Path(outputs) / name).read_text() for name in ("out", "err"))

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def main() -> None:
    """Be the process: a request a line on standard input, an exit code a line on standard output."""
    from flows import cli
    from tests.empty_database import copied

    asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    kept = dict(os.environ)
    with copied(Path(sys.argv[1])):
        for request in asked:
            outputs, folder, env, words = json.loads(request)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(Path(outputs, name), os.O_WRONLY | os.O_CREAT, 0o600), number)
            os.chdir(folder)
            os.environ.update(env)
            sys.argv = ["tickercast", *words]
            code = cli.main()
            sys.stdout.flush()
            os.environ.clear()
            os.environ.update(kept)
            print(code, file=answers, flush=True)


if __name__ == "__main__":
    main()
