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

CREATE VIEW open_price_gaps AS
SELECT ticker, session, known_at, run_id
FROM (
    SELECT *
    FROM price_gaps
    QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY known_at DESC, run_id DESC) = 1
)
WHERE state = 'missing';
COMMENT ON VIEW open_price_gaps IS 'Sessions that still lack a price: neither filled nor declared closed. They are asked for again each night.';
COMMENT ON COLUMN open_price_gaps.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN open_price_gaps.session IS 'Session without a price, the exchange''s own date';
COMMENT ON COLUMN open_price_gaps.known_at IS 'UTC time at which it was found missing';
COMMENT ON COLUMN open_price_gaps.run_id IS 'Run that found it missing';

CREATE VIEW quarantine AS
SELECT
    left(md5(concat_ws(chr(31), ticker, row, rule)), 10) AS quarantine_id,
    ticker,
    min(session) AS session,
    rule,
    arg_min(reason, known_at) AS reason,
    arg_min(origin, known_at) AS origin,
    row,
    min(known_at) AS known_at,
    max(released_at) AS released_at,
    arg_max(reason, released_at) AS note
FROM quarantined_prices
GROUP BY ticker, row, rule;
COMMENT ON VIEW quarantine IS 'The refused rows, one line each however often the source sent them; released_at is set where a person released the row.';
COMMENT ON COLUMN quarantine.quarantine_id IS 'Short name of the line for `tickercast quarantine show` and `release`, made from ticker, row and rule';
COMMENT ON COLUMN quarantine.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN quarantine.session IS 'Session of the refused row, the exchange''s own date; NULL where it could not be read';
COMMENT ON COLUMN quarantine.rule IS 'Short, stable name of the rule that refused it';
COMMENT ON COLUMN quarantine.reason IS 'Why it was refused, as a sentence';
COMMENT ON COLUMN quarantine.origin IS 'Where the row stood in the source';
COMMENT ON COLUMN quarantine.row IS 'The row as it came, as text';
COMMENT ON COLUMN quarantine.known_at IS 'UTC time at which it was first refused';
COMMENT ON COLUMN quarantine.released_at IS 'UTC time at which it was released; NULL while it is held';
COMMENT ON COLUMN quarantine.note IS 'Who released it and why, in the person''s words; NULL while it is held';

-- With F(t) the product of all splits after session t:
--     split_adjusted_close(t) = close(t) / F(t)
--     total_return_close(t)   = split_adjusted_close(t) * product over later dividends of (1 - d / p)
-- where p is the close before the ex-date, on the ex-date's share basis. forecast_lib/prices/adjust.py says the same in Python.
CREATE MACRO adjusted_prices_as_of(t) AS TABLE
WITH actions AS (
    SELECT ticker, session, kind, value
    FROM corporate_actions
    WHERE known_at <= t::TIMESTAMP
    QUALIFY row_number() OVER (PARTITION BY ticker, session, kind ORDER BY known_at DESC, rowid DESC) = 1
),
splits AS (
    SELECT ticker, session, product(value) OVER (PARTITION BY ticker ORDER BY session DESC) AS factor
    FROM actions
    WHERE kind = 'split'
),
known AS (
    SELECT *
    FROM prices_as_of(t)
),
split_adjusted AS (
    SELECT k.*, coalesce(s.factor, 1.0) AS split_factor, k.close / split_factor AS split_adjusted_close
    FROM known AS k
    ASOF LEFT JOIN splits AS s ON s.ticker = k.ticker AND k.session < s.session
),
ex_dates AS (
    SELECT d.ticker, d.session, d.value / coalesce(s.factor, 1.0) AS cash
    FROM actions AS d
    ASOF LEFT JOIN splits AS s ON s.ticker = d.ticker AND d.session < s.session
    WHERE d.kind = 'dividend'
),
newest AS (
    SELECT ticker, max(session) AS session
    FROM known
    GROUP BY ticker
),
kept AS (
    SELECT e.ticker, e.session, CASE WHEN e.cash < before.split_adjusted_close THEN 1 - e.cash / before.split_adjusted_close ELSE 'nan'::DOUBLE END AS share
    FROM ex_dates AS e
    JOIN newest ON newest.ticker = e.ticker AND newest.session >= e.session
    ASOF JOIN split_adjusted AS before ON before.ticker = e.ticker AND e.session > before.session
),
later AS (
    SELECT ticker, session, product(share) OVER (PARTITION BY ticker ORDER BY session DESC) AS factor
    FROM kept
)
SELECT
    a.ticker,
    a.session,
    a.close,
    a.split_adjusted_close,
    CASE WHEN NOT isnan(coalesce(l.factor, 1.0)) THEN a.split_adjusted_close * coalesce(l.factor, 1.0) END AS total_return_close,
    a.split_factor,
    a.currency,
    a.known_at
FROM split_adjusted AS a
ASOF LEFT JOIN later AS l ON l.ticker = a.ticker AND a.session < l.session;
COMMENT ON MACRO TABLE adjusted_prices_as_of IS 'Closes adjusted with what was known at the UTC time t: prices and corporate actions stored up to then. Columns as in adjusted_prices. Example: SELECT * FROM adjusted_prices_as_of(TIMESTAMP ''2024-05-01 22:00:00'') WHERE ticker = ''AAPL''';

CREATE VIEW adjusted_prices AS
SELECT *
FROM adjusted_prices_as_of(TIMESTAMP 'infinity');
COMMENT ON VIEW adjusted_prices IS 'The close of every ticker and session in three forms, from the newest prices and all corporate actions known: as traded, comparable across splits, and comparable across splits and dividends.';
COMMENT ON COLUMN adjusted_prices.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN adjusted_prices.session IS 'Trading day, the exchange''s own date';
COMMENT ON COLUMN adjusted_prices.close IS 'Close as traded on that session, in the ticker''s currency';
COMMENT ON COLUMN adjusted_prices.split_adjusted_close IS 'Close on the share basis of the newest split (spin-off ratios included): close / split_factor. Forecasts are made from these';
COMMENT ON COLUMN adjusted_prices.total_return_close IS 'Split-adjusted close as if every dividend had been put back into the share on its ex-date; NULL where a later dividend is not smaller than the close before it';
COMMENT ON COLUMN adjusted_prices.split_factor IS 'How many shares of the newest basis one share of that session has become: the product of all later splits';
COMMENT ON COLUMN adjusted_prices.currency IS 'Currency code of the prices in this row; NULL where the source gives none';
COMMENT ON COLUMN adjusted_prices.known_at IS 'UTC time from which the close was known here';
