-- What was known at an instant, whatever the reader's time zone; and what did a run's arithmetic.

COMMENT ON COLUMN runs.libraries IS 'Versions of Python and the main libraries, and what did the arithmetic: trained_by and answered_by, as JSON';

-- What carries an offset (a TIMESTAMPTZ, or a text with one) is the instant that it names; all else is UTC. A TIMESTAMPTZ cast straight to
-- TIMESTAMP would be in the reader's TimeZone. epoch_us counts from 1970 in UTC; infinity has no offset, and stays.
CREATE OR REPLACE MACRO prices_as_of(t) AS TABLE
WITH stored AS NOT MATERIALIZED (
    SELECT *
    FROM prices
    WHERE known_at <= CASE
        WHEN regexp_matches(t::VARCHAR, ':[0-9.]+ ?[+-]') THEN make_timestamp(epoch_us(t::TIMESTAMPTZ))
        ELSE t::TIMESTAMP
    END
)
SELECT *
FROM stored AS p
ANTI JOIN (SELECT ticker, session, revision FROM stored WHERE revision > 0) AS newer
    ON newer.ticker = p.ticker AND newer.session = p.session AND newer.revision > p.revision;
COMMENT ON MACRO TABLE prices_as_of IS 'What was known at the instant t: the newest revision of every price stored up to then. A t without an offset is UTC, whatever the TimeZone. Columns as in prices. Example: SELECT * FROM prices_as_of(TIMESTAMP ''2024-05-01 22:00:00'')';

-- With F(t) the product of all splits after session t:
--     split_adjusted_close(t) = close(t) / F(t)
--     total_return_close(t)   = split_adjusted_close(t) * product over later dividends of (1 - d / p)
-- where p is the close before the ex-date, on the ex-date's share basis. forecast_lib/prices/adjust.py says the same in Python.
CREATE OR REPLACE MACRO adjusted_prices_as_of(t) AS TABLE
WITH actions AS (
    SELECT ticker, session, kind, value
    FROM corporate_actions
    WHERE known_at <= CASE
        WHEN regexp_matches(t::VARCHAR, ':[0-9.]+ ?[+-]') THEN make_timestamp(epoch_us(t::TIMESTAMPTZ))
        ELSE t::TIMESTAMP
    END
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
COMMENT ON MACRO TABLE adjusted_prices_as_of IS 'Closes adjusted with what was known at the instant t: prices and corporate actions stored up to then. A t without an offset is UTC, whatever the TimeZone. Columns as in adjusted_prices. Example: SELECT * FROM adjusted_prices_as_of(TIMESTAMP ''2024-05-01 22:00:00'') WHERE ticker = ''AAPL''';
