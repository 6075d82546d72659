"""Loaded into the clean process too: what a `tickercast` command imports. OpenBLAS looks after its threads in
a fork by itself; Prefect and TensorFlow, which do not, are left to those who need them.
"""

import numba.core.registry
import scipy.stats

import flows.cli
import flows.commands.readers
import flows.commands.runs
import flows.commands.status
import flows.shown.by_hand
import forecast_lib.models.variants.stacked
import forecast_lib.prices.sources.simulated
import tests.campaign.whole

__all__ = ["flows", "forecast_lib", "numba", "scipy", "tests"]
