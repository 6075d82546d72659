"""Where shards run: threads of this process, processes of this machine, or Dask workers."""

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from forecast_lib.config import RunConfig
from forecast_lib.errors import UsageError

__all__ = ["runner_for", "threads"]


def threads(config: RunConfig) -> TaskRunner:
    """Threads of this process."""
    return ThreadPoolTaskRunner(max_workers=config.workers)


def runner_for(config: RunConfig) -> TaskRunner:
    """The Prefect task runner that the config names, to be used as a context.

    Raises:
        UsageError: `dask` without the extra of that name installed.
    """
    if config.runner == "threads":
        return threads(config)
    if config.runner == "processes":
        return ProcessPoolTaskRunner(max_workers=config.workers)
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise UsageError("runner 'dask' is not installed: run `pip install 'tickercast[dask]'`, or use --runner processes") from None
    return DaskTaskRunner(cluster_kwargs={"n_workers": config.workers, "threads_per_worker": 1, "dashboard_address": None})
