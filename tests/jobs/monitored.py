"""A workspace of two nights whose figures were counted by hand, and the metrics that it shows."""

import datetime as dt
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.store import nights

NOW = dt.datetime(2024, 1, 5, 23, tzinfo=dt.UTC)
"""Friday evening; nights 0 and 1 of `nights` are Tuesday and Wednesday, so Thursday and Friday are missing.
"""


def two_nights(folder: Path) -> Path:
    """Two nights; the second settled step 1 of the first: error 1, naive error 0, inside both intervals."""
    nights.store_and_publish(folder, 0)
    made = nights.night(1)
    made["forecast_outcomes"] = nights.outcomes("run-0", "run-1", 1, 0).assign(
        naive_error=2.0, inside80=[True, False], source="simulated"
    )
    nights.store_and_publish(folder, 1, made)
    return folder


def figures(text: bytes) -> dict[tuple[str, frozenset], float]:
    families = list(text_string_to_metric_families(text.decode()))
    assert families and all(family.documentation and family.type == "gauge" for family in families)
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels.pop("workspace") for sample in samples)
    return {
        (sample.name.removeprefix("tickercast_"), frozenset(sample.labels.items())): sample.value
        for sample in samples
    }
