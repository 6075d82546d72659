"""Where prices and forecasts are kept: the only room that knows DuckDB.

A workspace holds two databases. `working.duckdb` belongs to the run that holds the workspace's lock and to
nobody else; readers open `published.duckdb`, which is built beside, audited and swapped in whole.
`ledger.jsonl` says, outside both, what was stored.

    lock.hold_workspace ─> Store ─> reads, revisions ─> Store.record (one transaction, then the ledger)
    ─> Store.publish
                                                                                  readers ─> reader.query

The modules are imported one by one, so that a reader need not wait for what only a run needs.
"""

from forecast_lib.store.loading import load_duckdb

load_duckdb()
