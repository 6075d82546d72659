"""Runs the benchmarks named on the command line, or lists them: `python -m tests.bench engine night`; `make
bench` runs all.
"""

import importlib
import pkgutil
import sys

import tests.bench

NAMES = sorted(
    module.name for module in pkgutil.iter_modules(tests.bench.__path__) if not module.name.startswith("_")
)


def main() -> int:
    unknown = [name for name in sys.argv[1:] if name not in NAMES]
    if unknown:
        print(f"benchmark {unknown[0]!r} is not known: expected one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main([])
    return 0


if __name__ == "__main__":
    sys.exit(main())
