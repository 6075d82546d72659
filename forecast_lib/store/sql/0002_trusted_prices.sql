-- Gaps, counts of the quality rules, what a person released, and prices adjusted at read time.


CREATE TABLE price_gaps (
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    state VARCHAR NOT NULL,
    note VARCHAR,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE price_gaps IS 'Sessions of the exchange between a ticker''s first and last price for which there is no price, append-only: one row each time the state of a session changes. The row with the newest known_at counts; open_price_gaps has those that are still missing.';
COMMENT ON COLUMN price_gaps.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN price_gaps.session IS 'Session without a price, the exchange''s own date';
COMMENT ON COLUMN price_gaps.state IS 'missing: no price, asked for again each night; filled: the price came; closed: a person said that there is none to wait for';
COMMENT ON COLUMN price_gaps.note IS 'Why the gap was closed, in the person''s words; NULL otherwise';
COMMENT ON COLUMN price_gaps.known_at IS 'UTC time from which this state was known here';
COMMENT ON COLUMN price_gaps.run_id IS 'Run that found it so';
COMMENT ON COLUMN price_gaps.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE quality_counts (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    session DATE,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE quality_counts IS 'How often each quality rule struck in each run: one row per run, ticker and rule that did. Rows that were refused before count again as long as the source sends them.';
COMMENT ON COLUMN quality_counts.run_id IS 'The run';
COMMENT ON COLUMN quality_counts.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN quality_counts.rule IS 'Short, stable name of the rule';
COMMENT ON COLUMN quality_counts.severity IS 'What was done: drop_row refused the row, null_field only the value, hold_ticker kept the ticker''s new rows out for this run, warn nothing';
COMMENT ON COLUMN quality_counts.rows IS 'Number of rows that broke the rule; 1 for a rule about the ticker as a whole';
COMMENT ON COLUMN quality_counts.session IS 'First session concerned, the exchange''s own date; NULL where none can be named';
COMMENT ON COLUMN quality_counts.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

COMMENT ON COLUMN runs.kind IS 'What the run did: nightly, ingest, backtest or recipe; upkeep where a person released a refused row or closed a gap';
COMMENT ON COLUMN prices.source IS 'Where the row came from: simulated, files or yahoo; a row released from the quarantine keeps the source that sent it';
COMMENT ON TABLE quarantined_prices IS 'Rows of the source that were refused, or of which a value was refused, with the rule they broke: a log, never used for a forecast. A row that a person released is logged again with released_at, the note in reason; the view quarantine has one line for each.';
