"""What becomes of every reply that Yahoo may give: `python -m tests.bench failures` runs them all and prints
the table as Markdown.
"""

import tempfile
from pathlib import Path

from tests.prices.failure_table import as_markdown, failure_table


def main(argv: list[str]) -> int:
    """Takes no arguments."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        print(as_markdown(failure_table(Path(folder))))
    return 0
