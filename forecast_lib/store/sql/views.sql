-- Every view and macro, each written once. This file is applied anew, after all that the database had of them was dropped, whenever it or
-- a table changed: a view of whole rows follows its table by itself. Tables are made by the numbered files beside it.
--
-- A view's column without a comment here has that of the column of the same name in the first table or view of its text that has one.
-- Everything runs in DuckDB 1.1 too: no functions younger than that.


-- Prices

CREATE VIEW current_prices AS
SELECT *
FROM prices AS p
ANTI JOIN (SELECT ticker, session, revision FROM prices WHERE revision > 0) AS newer
    ON newer.ticker = p.ticker AND newer.session = p.session AND newer.revision > p.revision;
COMMENT ON VIEW current_prices IS 'The newest revision of every price: one row per ticker and session. Start here for prices.';

-- What carries an offset (a TIMESTAMPTZ, or a text with one) is the instant that it names; all else is UTC. A TIMESTAMPTZ cast straight to
-- TIMESTAMP would be in the reader's TimeZone. epoch_us counts from 1970 in UTC; infinity has no offset, and stays.
CREATE MACRO prices_as_of(t) AS TABLE
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

-- With F(t) the product of all splits after session t, and U(t) that of all changes of unit:
--     split_adjusted_close(t) = close(t) / F(t) / U(t)
--     total_return_close(t)   = split_adjusted_close(t) * product over later dividends of (1 - d / p)
-- where p is the close before the ex-date, on the ex-date's share basis.
CREATE MACRO adjusted_prices_as_of(t) AS TABLE
WITH actions AS (
    SELECT ticker, session, kind, value
    FROM corporate_actions
    WHERE known_at <= CASE
        WHEN regexp_matches(t::VARCHAR, ':[0-9.]+ ?[+-]') THEN make_timestamp(epoch_us(t::TIMESTAMPTZ))
        ELSE t::TIMESTAMP
    END
    QUALIFY row_number() OVER (PARTITION BY ticker, session, kind ORDER BY known_at DESC, rowid DESC) = 1
),
-- What changes the prices before: the day's own part of each kind, and the product from that day on.
rebased AS (
    SELECT
        ticker,
        session,
        product(value) FILTER (kind = 'split') OVER from_here_on AS splits,
        product(value) FILTER (kind = 'unit') OVER from_here_on AS units,
        product(value) OVER from_here_on AS factor
    FROM actions
    WHERE kind <> 'dividend'
    WINDOW from_here_on AS (PARTITION BY ticker ORDER BY session DESC)
),
judged AS (
    SELECT ticker, evidence
    FROM price_verdicts
    WHERE known_at <= CASE
        WHEN regexp_matches(t::VARCHAR, ':[0-9.]+ ?[+-]') THEN make_timestamp(epoch_us(t::TIMESTAMPTZ))
        ELSE t::TIMESTAMP
    END
    QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY known_at DESC, rowid DESC) = 1
),
waiting AS (
    SELECT ticker, unnest(from_json(evidence -> '$.rows', '["DATE"]')) AS session
    FROM judged
),
known AS (
    SELECT *
    FROM prices_as_of(t)
    ANTI JOIN waiting USING (ticker, session)
),
split_adjusted AS (
    SELECT
        k.*,
        coalesce(s.splits, 1.0) AS split_factor,
        coalesce(s.units, 1.0) AS unit_factor,
        k.close / coalesce(s.factor, 1.0) AS split_adjusted_close
    FROM known AS k
    ASOF LEFT JOIN rebased AS s ON s.ticker = k.ticker AND k.session < s.session
),
ex_dates AS (
    SELECT d.ticker, d.session, d.value / coalesce(s.factor, 1.0) AS cash
    FROM actions AS d
    ASOF LEFT JOIN rebased AS s ON s.ticker = d.ticker AND d.session < s.session
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
    a.unit_factor,
    a.currency,
    a.known_at
FROM split_adjusted AS a
ASOF LEFT JOIN later AS l ON l.ticker = a.ticker AND a.session < l.session;
COMMENT ON MACRO TABLE adjusted_prices_as_of IS 'Closes adjusted with what was known at the instant t: prices, verdicts and corporate actions stored up to then; rows that a verdict set aside are not among them. A t without an offset is UTC, whatever the TimeZone. Columns as in adjusted_prices. Example: SELECT * FROM adjusted_prices_as_of(TIMESTAMP ''2024-05-01 22:00:00'') WHERE ticker = ''AAPL''';

CREATE VIEW adjusted_prices AS
SELECT *
FROM adjusted_prices_as_of(TIMESTAMP 'infinity');
COMMENT ON VIEW adjusted_prices IS 'The close of every ticker and session in three forms, from the newest prices that count (`price_verdicts`) and all corporate actions known: as traded, comparable across splits, and comparable across splits and dividends.';
COMMENT ON COLUMN adjusted_prices.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN adjusted_prices.session IS 'Trading day, the exchange''s own date';
COMMENT ON COLUMN adjusted_prices.close IS 'Close as traded on that session, in the ticker''s currency';
COMMENT ON COLUMN adjusted_prices.split_adjusted_close IS 'Close on the share basis of the newest split (spin-off ratios included), in the newest unit: close / split_factor / unit_factor. Forecasts are made from these';
COMMENT ON COLUMN adjusted_prices.total_return_close IS 'Split-adjusted close as if every dividend had been put back into the share on its ex-date; NULL where a later dividend is not smaller than the close before it';
COMMENT ON COLUMN adjusted_prices.split_factor IS 'How many shares of the newest basis one share of that session has become: the product of all later splits';
COMMENT ON COLUMN adjusted_prices.unit_factor IS 'What later changes of unit divide the price of that session by, beside splits: 0.01 where pounds have become pence. Volumes count shares, which no change of unit moves';
COMMENT ON COLUMN adjusted_prices.currency IS 'Currency code of the prices in this row; NULL where the source gives none';
COMMENT ON COLUMN adjusted_prices.known_at IS 'UTC time from which the close was known here';

CREATE VIEW open_price_gaps AS
SELECT ticker, session, known_at, run_id
FROM (
    SELECT *
    FROM price_gaps
    QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY known_at DESC, run_id DESC) = 1
)
WHERE state = 'missing';
COMMENT ON VIEW open_price_gaps IS 'Sessions that still lack a price: neither filled nor declared closed. They are asked for again each night.';
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
    any_value(field) AS field,
    row,
    min(known_at) AS known_at,
    CASE WHEN max(released_at) > max(known_at) FILTER (WHERE released_at IS NULL) THEN max(released_at) END AS released_at,
    CASE WHEN max(released_at) > max(known_at) FILTER (WHERE released_at IS NULL) THEN arg_max(reason, released_at) END AS note
FROM quarantined_prices
GROUP BY ticker, row, rule;
COMMENT ON VIEW quarantine IS 'The refused rows, one line each however often the source sent them; released_at is set where a person released the row.';
COMMENT ON COLUMN quarantine.quarantine_id IS 'Short name of the line for `tickercast quarantine show` and `release`, made from ticker, row and rule';
COMMENT ON COLUMN quarantine.origin IS 'Where the row stood in the source';
COMMENT ON COLUMN quarantine.known_at IS 'UTC time at which it was first refused';
COMMENT ON COLUMN quarantine.released_at IS 'UTC time at which it was released; NULL while it is held';
COMMENT ON COLUMN quarantine.note IS 'Who released it and why, in the person''s words; NULL while it is held';


-- Forecasts, and what came true

-- The whole distribution that published quantiles stand for: between two levels ln(price) is a straight line in the log odds
-- ln(p / (1 - p)), beyond the outermost two the line goes on. forecast_lib/distribution.py says the same in Python.
CREATE MACRO log_odds(p) AS ln(p / (1 - p));
COMMENT ON MACRO log_odds IS 'ln(p / (1 - p)) of a probability p, between 0 and 1, both excluded';

CREATE MACRO odds_between(price, low, low_p, high, high_p) AS
    log_odds(low_p)
    + (log_odds(high_p) - log_odds(low_p)) * (ln(price) - ln(low)) / greatest(ln(high) - ln(low), 1e-12);
COMMENT ON MACRO odds_between IS 'Log odds of a close up to price, where low and high are the prices at the probabilities low_p and high_p';

CREATE MACRO price_between(p, low, low_p, high, high_p) AS
    exp(ln(low) + (ln(high) - ln(low)) * (log_odds(p) - log_odds(low_p)) / (log_odds(high_p) - log_odds(low_p)));
COMMENT ON MACRO price_between IS 'Price at the probability p, where low and high are the prices at the probabilities low_p and high_p';

CREATE MACRO probability_in(q, price) AS CASE
    WHEN price <= 0 THEN 0 * q[1]
    ELSE 1 / (1 + exp(-CASE
    WHEN price <= q[2] THEN odds_between(price, q[1], 0.005, q[2], 0.01)
    WHEN price <= q[3] THEN odds_between(price, q[2], 0.01, q[3], 0.025)
    WHEN price <= q[4] THEN odds_between(price, q[3], 0.025, q[4], 0.05)
    WHEN price <= q[5] THEN odds_between(price, q[4], 0.05, q[5], 0.10)
    WHEN price <= q[6] THEN odds_between(price, q[5], 0.10, q[6], 0.25)
    WHEN price <= q[7] THEN odds_between(price, q[6], 0.25, q[7], 0.50)
    WHEN price <= q[8] THEN odds_between(price, q[7], 0.50, q[8], 0.75)
    WHEN price <= q[9] THEN odds_between(price, q[8], 0.75, q[9], 0.90)
    WHEN price <= q[10] THEN odds_between(price, q[9], 0.90, q[10], 0.95)
    WHEN price <= q[11] THEN odds_between(price, q[10], 0.95, q[11], 0.975)
    WHEN price <= q[12] THEN odds_between(price, q[11], 0.975, q[12], 0.99)
    ELSE odds_between(price, q[12], 0.99, q[13], 0.995)
    END))
    END;
COMMENT ON MACRO probability_in IS 'Probability of a close up to price in the forecast whose 13 published quantiles, from q005 to q995, are the list q; NULL where one that is needed is NULL';

CREATE MACRO price_in(q, p) AS CASE
    WHEN p <= 0 OR p >= 1 THEN NULL
    WHEN p <= 0.01 THEN price_between(p, q[1], 0.005, q[2], 0.01)
    WHEN p <= 0.025 THEN price_between(p, q[2], 0.01, q[3], 0.025)
    WHEN p <= 0.05 THEN price_between(p, q[3], 0.025, q[4], 0.05)
    WHEN p <= 0.10 THEN price_between(p, q[4], 0.05, q[5], 0.10)
    WHEN p <= 0.25 THEN price_between(p, q[5], 0.10, q[6], 0.25)
    WHEN p <= 0.50 THEN price_between(p, q[6], 0.25, q[7], 0.50)
    WHEN p <= 0.75 THEN price_between(p, q[7], 0.50, q[8], 0.75)
    WHEN p <= 0.90 THEN price_between(p, q[8], 0.75, q[9], 0.90)
    WHEN p <= 0.95 THEN price_between(p, q[9], 0.90, q[10], 0.95)
    WHEN p <= 0.975 THEN price_between(p, q[10], 0.95, q[11], 0.975)
    WHEN p <= 0.99 THEN price_between(p, q[11], 0.975, q[12], 0.99)
    ELSE price_between(p, q[12], 0.99, q[13], 0.995)
    END;
COMMENT ON MACRO price_in IS 'Price at the probability p in the forecast whose 13 published quantiles, from q005 to q995, are the list q; NULL where p is not between 0 and 1';

CREATE VIEW latest_forecasts AS
SELECT *
FROM forecasts
WHERE run_id = (
    SELECT run_id
    FROM runs
    WHERE kind = 'nightly' AND status <> 'failed'
    ORDER BY finished_at DESC, run_id DESC
    LIMIT 1
);
COMMENT ON VIEW latest_forecasts IS 'The forecasts of the newest finished nightly run that did not fail: one row per ticker and step. Start here for forecasts.';

-- Of several runs that forecast from the same cutoff the newest counts; a settled forecast counts before one that is not.
CREATE VIEW forecast_history AS
SELECT
    r.as_of,
    f.*,
    o.actual,
    o.error,
    o.naive_error,
    o.pinball,
    o.baseline_pinball,
    o.inside80,
    o.inside95,
    o.settled_at,
    row_number() OVER (
        PARTITION BY f.ticker, f.cutoff, f.step
        ORDER BY o.actual IS NULL, r.finished_at DESC, f.run_id DESC
    ) > 1 AS superseded
FROM forecasts AS f
JOIN runs AS r USING (run_id)
LEFT JOIN forecast_outcomes AS o USING (run_id, ticker, step);
COMMENT ON VIEW forecast_history IS 'Every forecast ever published, with its as-of evening and, once it is known, its outcome: one row per run, ticker and step. For a plot or a score take the rows that are not superseded.';
COMMENT ON COLUMN forecast_history.actual IS 'Close of the target session, on the share basis of the cutoff; NULL until it is settled';
COMMENT ON COLUMN forecast_history.superseded IS 'True where a later run forecast the same session from the same cutoff: that one counts';

CREATE MACRO skill_between(first, last) AS TABLE
SELECT
    ticker,
    made_by,
    step,
    count(*) AS n,
    min(target_session) AS first_session,
    max(target_session) AS last_session,
    sqrt(avg(error * error)) AS rmse,
    sqrt(avg(naive_error * naive_error)) AS rmse_naive,
    rmse / nullif(rmse_naive, 0) AS rmse_ratio,
    avg(pinball) AS pinball,
    avg(inside80::DOUBLE) AS cov80,
    avg(inside95::DOUBLE) AS cov95,
    avg(baseline_pinball) AS baseline_pinball,
    1 - sum(pinball) FILTER (baseline_pinball IS NOT NULL) / nullif(sum(baseline_pinball), 0) AS pinball_gain
FROM forecast_history
WHERE actual IS NOT NULL AND NOT superseded AND target_session BETWEEN first AND last
GROUP BY ticker, made_by, step;
COMMENT ON MACRO TABLE skill_between IS 'How good the published forecasts of the target sessions from first to last, both included, turned out to be. Columns as in forecast_skill. Example: SELECT * FROM skill_between(DATE ''2024-01-01'', DATE ''2024-06-30'')';

CREATE VIEW forecast_skill AS
SELECT *
FROM skill_between(DATE '-infinity', DATE 'infinity');
COMMENT ON VIEW forecast_skill IS 'How good the published forecasts turned out to be, over all that are settled: one row per ticker, made_by and step. Where several runs forecast the same session from the same cutoff, the newest counts.';
COMMENT ON COLUMN forecast_skill.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecast_skill.made_by IS 'Variant or baseline that made the forecasts, for example stacked or naive';
COMMENT ON COLUMN forecast_skill.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN forecast_skill.pinball IS 'Mean pinball loss over the published quantiles from 2.5 to 97.5 %, in the ticker''s currency; lower is better';
COMMENT ON COLUMN forecast_skill.n IS 'Number of settled forecasts';
COMMENT ON COLUMN forecast_skill.first_session IS 'First target session counted, the exchange''s own date';
COMMENT ON COLUMN forecast_skill.last_session IS 'Last target session counted, the exchange''s own date';
COMMENT ON COLUMN forecast_skill.rmse IS 'Root mean squared error, in the ticker''s currency';
COMMENT ON COLUMN forecast_skill.rmse_naive IS 'The same for saying that the price stays, on the same sessions';
COMMENT ON COLUMN forecast_skill.rmse_ratio IS 'rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN forecast_skill.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN forecast_skill.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN forecast_skill.baseline_pinball IS 'Mean pinball loss of the naive forecast with its calibrated intervals from the same cutoffs; NULL where none was settled with it';
COMMENT ON COLUMN forecast_skill.pinball_gain IS 'Share of the naive forecast''s pinball loss that these forecasts saved: above 0 is better';

-- What each part of a settled combination would have lost alone: its quantiles stand in forecast_weights.
CREATE VIEW part_skill AS
WITH settled AS (
    SELECT
        w.ticker,
        w.model,
        w.step,
        w.weight,
        h.pinball AS combined_pinball,
        list_avg([
            greatest(0.025 * (h.actual - w.q025), -0.975 * (h.actual - w.q025)),
            greatest(0.05 * (h.actual - w.q05), -0.95 * (h.actual - w.q05)),
            greatest(0.1 * (h.actual - w.q10), -0.9 * (h.actual - w.q10)),
            greatest(0.25 * (h.actual - w.q25), -0.75 * (h.actual - w.q25)),
            greatest(0.5 * (h.actual - w.q50), -0.5 * (h.actual - w.q50)),
            greatest(0.75 * (h.actual - w.q75), -0.25 * (h.actual - w.q75)),
            greatest(0.9 * (h.actual - w.q90), -0.1 * (h.actual - w.q90)),
            greatest(0.95 * (h.actual - w.q95), -0.05 * (h.actual - w.q95)),
            greatest(0.975 * (h.actual - w.q975), -0.025 * (h.actual - w.q975))
        ]) AS pinball,
        h.actual BETWEEN w.q10 AND w.q90 AS inside80,
        h.actual BETWEEN w.q025 AND w.q975 AS inside95
    FROM forecast_weights AS w
    JOIN forecast_history AS h USING (run_id, ticker, step)
    WHERE h.actual IS NOT NULL AND NOT h.superseded
)
SELECT
    ticker,
    model,
    step,
    count(*) AS n,
    avg(weight) AS weight,
    avg(pinball) AS pinball,
    avg(combined_pinball) AS combined_pinball,
    sum(pinball) / nullif(sum(combined_pinball), 0) AS pinball_ratio,
    avg(inside80::DOUBLE) AS cov80,
    avg(inside95::DOUBLE) AS cov95
FROM settled
GROUP BY ticker, model, step;
COMMENT ON VIEW part_skill IS 'What each part of the published forecasts would have been alone, over all that are settled: one row per ticker, model and step.';
COMMENT ON COLUMN part_skill.n IS 'Number of settled forecasts that it was part of';
COMMENT ON COLUMN part_skill.weight IS 'Its mean share of the answer';
COMMENT ON COLUMN part_skill.pinball IS 'Its own mean pinball loss over the nine quantiles from 2.5 to 97.5 %, in the ticker''s currency; lower is better';
COMMENT ON COLUMN part_skill.combined_pinball IS 'The same of what was published, on the same sessions';
COMMENT ON COLUMN part_skill.pinball_ratio IS 'pinball / combined_pinball: above 1 the combination was better';
COMMENT ON COLUMN part_skill.cov80 IS 'Share of actuals inside its own 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN part_skill.cov95 IS 'Share of actuals inside its own 95 % interval (q025 to q975); 0.95 is ideal';

CREATE VIEW model_skill AS
SELECT
    made_by,
    step,
    count(*) AS tickers,
    sum(n)::BIGINT AS n,
    min(first_session) AS first_session,
    max(last_session) AS last_session,
    exp(avg(ln(nullif(rmse_ratio, 0)))) AS rmse_ratio,
    count_if(rmse_ratio < 1) AS tickers_better,
    count_if(rmse_ratio > 1) AS tickers_worse,
    sum(cov80 * n) / sum(n) AS cov80,
    sum(cov95 * n) / sum(n) AS cov95,
    1 - exp(avg(ln(nullif(1 - pinball_gain, 0)))) AS pinball_gain
FROM forecast_skill
GROUP BY made_by, step;
COMMENT ON VIEW model_skill IS 'forecast_skill over all tickers: how good the published forecasts of each variant and baseline turned out to be, one row per made_by and step.';
COMMENT ON COLUMN model_skill.tickers IS 'Number of tickers it answered for';
COMMENT ON COLUMN model_skill.n IS 'Number of settled forecasts';
COMMENT ON COLUMN model_skill.first_session IS 'First target session counted, the exchange''s own date';
COMMENT ON COLUMN model_skill.last_session IS 'Last target session counted, the exchange''s own date';
COMMENT ON COLUMN model_skill.rmse_ratio IS 'Geometric mean over the tickers of rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN model_skill.tickers_better IS 'Tickers whose ratio is below 1';
COMMENT ON COLUMN model_skill.tickers_worse IS 'Tickers whose ratio is above 1';
COMMENT ON COLUMN model_skill.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN model_skill.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN model_skill.pinball_gain IS 'Share of the naive forecast''s pinball loss that was saved, geometric mean over the tickers: above 0 is better';

-- A p-chart (Shewhart 1931): were the intervals right, their share of hits would leave three standard errors about once in 370 looks.
-- Outcomes of step s overlap, so that n of them are worth n / s.
CREATE VIEW rolling_coverage AS
WITH rolled AS (
    SELECT
        ticker,
        step,
        target_session,
        made_by,
        count(*) OVER newest AS n,
        avg(inside80::DOUBLE) OVER newest AS cov80,
        avg(inside95::DOUBLE) OVER newest AS cov95,
        sqrt(avg((error / actual) ** 2) OVER newest / nullif(avg((naive_error / actual) ** 2) OVER newest, 0)) AS rmse_ratio
    FROM forecast_history
    WHERE actual IS NOT NULL AND NOT superseded
    WINDOW newest AS (PARTITION BY ticker, step ORDER BY cutoff, target_session ROWS BETWEEN 249 PRECEDING AND CURRENT ROW)
)
SELECT
    ticker,
    step,
    target_session,
    made_by,
    n,
    cov80,
    greatest(0.80 - 3 * sqrt(0.80 * 0.20 * step / n), 0) AS low80,
    least(0.80 + 3 * sqrt(0.80 * 0.20 * step / n), 1) AS high80,
    cov95,
    greatest(0.95 - 3 * sqrt(0.95 * 0.05 * step / n), 0) AS low95,
    least(0.95 + 3 * sqrt(0.95 * 0.05 * step / n), 1) AS high95,
    CASE WHEN cov80 < low80 OR cov95 < low95 THEN 'too narrow' WHEN cov80 > high80 OR cov95 > high95 THEN 'too wide' ELSE 'held' END AS state,
    rmse_ratio
FROM rolled;
COMMENT ON VIEW rolling_coverage IS 'How the published intervals held over the last 250 settled forecasts, with control limits of three standard errors: one row per ticker, step and target session. Where several runs forecast from the same cutoff, the newest counts.';
COMMENT ON COLUMN rolling_coverage.target_session IS 'Session of the newest forecast counted, the exchange''s own date';
COMMENT ON COLUMN rolling_coverage.made_by IS 'Variant or baseline that made the newest forecast counted';
COMMENT ON COLUMN rolling_coverage.n IS 'Number of settled forecasts counted: 250 once there are as many';
COMMENT ON COLUMN rolling_coverage.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN rolling_coverage.low80 IS 'Lower control limit of cov80';
COMMENT ON COLUMN rolling_coverage.high80 IS 'Upper control limit of cov80';
COMMENT ON COLUMN rolling_coverage.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN rolling_coverage.low95 IS 'Lower control limit of cov95';
COMMENT ON COLUMN rolling_coverage.high95 IS 'Upper control limit of cov95';
COMMENT ON COLUMN rolling_coverage.state IS 'too narrow: a share is below its limit; too wide: above; held: both are within';
COMMENT ON COLUMN rolling_coverage.rmse_ratio IS 'Root mean squared error in per cent of the price, divided by that of saying that the price stays; below 1 is better';

CREATE VIEW latest_coverage AS
SELECT *
FROM rolling_coverage
QUALIFY row_number() OVER (PARTITION BY ticker, step ORDER BY target_session DESC) = 1;
COMMENT ON VIEW latest_coverage IS 'The newest row of rolling_coverage for each ticker and step: do the intervals hold now? Start here for the quality of published forecasts.';
COMMENT ON COLUMN latest_coverage.n IS 'Number of settled forecasts counted: 250 once there are as many';
COMMENT ON COLUMN latest_coverage.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN latest_coverage.low80 IS 'Lower control limit of cov80';
COMMENT ON COLUMN latest_coverage.high80 IS 'Upper control limit of cov80';
COMMENT ON COLUMN latest_coverage.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN latest_coverage.low95 IS 'Lower control limit of cov95';
COMMENT ON COLUMN latest_coverage.high95 IS 'Upper control limit of cov95';
COMMENT ON COLUMN latest_coverage.state IS 'too narrow: a share is below its limit; too wide: above; held: both are within';
COMMENT ON COLUMN latest_coverage.rmse_ratio IS 'Root mean squared error in per cent of the price, divided by that of saying that the price stays; below 1 is better';

-- Tickers move together, so that a date counts once: a share is the mean over the sessions of that session's share, its standard error that
-- of the sessions' scatter, at least what independent tickers would have. Outcomes of step s overlap, so that n sessions are worth n / s.
CREATE VIEW model_coverage AS
WITH dated AS (
    SELECT
        made_by,
        step,
        target_session,
        count(*) AS forecasts,
        avg(inside80::DOUBLE) AS share80,
        avg(inside95::DOUBLE) AS share95
    FROM forecast_history
    WHERE actual IS NOT NULL AND NOT superseded
    GROUP BY made_by, step, target_session
),
rolled AS (
    SELECT
        made_by,
        step,
        target_session,
        count(*) OVER newest AS sessions,
        sum(forecasts) OVER newest AS n,
        avg(share80) OVER newest AS cov80,
        avg(share95) OVER newest AS cov95,
        stddev_samp(share80) OVER newest AS scatter80,
        stddev_samp(share95) OVER newest AS scatter95
    FROM dated
    WINDOW newest AS (PARTITION BY made_by, step ORDER BY target_session ROWS BETWEEN 249 PRECEDING AND CURRENT ROW)
),
erring AS (
    SELECT
        *,
        greatest(coalesce(scatter80, 0), sqrt(0.80 * 0.20 * sessions / n)) * sqrt(step / sessions) AS error80,
        greatest(coalesce(scatter95, 0), sqrt(0.95 * 0.05 * sessions / n)) * sqrt(step / sessions) AS error95
    FROM rolled
)
SELECT
    made_by,
    step,
    target_session,
    sessions,
    n::BIGINT AS n,
    cov80,
    greatest(0.80 - 3 * error80, 0) AS low80,
    least(0.80 + 3 * error80, 1) AS high80,
    cov95,
    greatest(0.95 - 3 * error95, 0) AS low95,
    least(0.95 + 3 * error95, 1) AS high95,
    CASE WHEN cov80 < low80 OR cov95 < low95 THEN 'too narrow' WHEN cov80 > high80 OR cov95 > high95 THEN 'too wide' ELSE 'held' END AS state
FROM erring;
COMMENT ON VIEW model_coverage IS 'How the published intervals of each variant and baseline held over its last 250 sessions, all tickers together, with control limits of three standard errors: one row per made_by, step and target session. Where several runs forecast from the same cutoff, the newest counts.';
COMMENT ON COLUMN model_coverage.target_session IS 'Newest target session counted, the exchange''s own date';
COMMENT ON COLUMN model_coverage.sessions IS 'Number of target sessions counted: 250 once there are as many';
COMMENT ON COLUMN model_coverage.n IS 'Number of settled forecasts counted, all tickers together';
COMMENT ON COLUMN model_coverage.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90), mean over the sessions; 0.80 is ideal';
COMMENT ON COLUMN model_coverage.low80 IS 'Lower control limit of cov80';
COMMENT ON COLUMN model_coverage.high80 IS 'Upper control limit of cov80';
COMMENT ON COLUMN model_coverage.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975), mean over the sessions; 0.95 is ideal';
COMMENT ON COLUMN model_coverage.low95 IS 'Lower control limit of cov95';
COMMENT ON COLUMN model_coverage.high95 IS 'Upper control limit of cov95';
COMMENT ON COLUMN model_coverage.state IS 'too narrow: a share is below its limit; too wide: above; held: both are within';

CREATE VIEW surprises AS
WITH judged AS (
    SELECT
        *,
        probability_in([q005, q01, q025, q05, q10, q25, q50, q75, q90, q95, q975, q99, q995], actual) AS probability_up_to_it
    FROM forecast_history
    WHERE actual IS NOT NULL AND NOT superseded
),
ranked AS (
    SELECT
        *,
        least(probability_up_to_it, 1 - probability_up_to_it) AS tail,
        count(probability_up_to_it) OVER (PARTITION BY step) AS forecasts,
        rank() OVER (PARTITION BY step ORDER BY tail) AS found
    FROM judged
    WHERE probability_up_to_it IS NOT NULL
)
SELECT
    as_of,
    ticker,
    step,
    target_session,
    last_close,
    actual,
    ln(actual / last_close) AS log_return,
    1 / greatest(tail, 1e-12) AS one_in,
    forecasts,
    found,
    2 * forecasts * tail AS by_chance,
    run_id,
    made_by
FROM ranked
WHERE tail <= 0.01;
COMMENT ON VIEW surprises IS 'Outcomes that their forecast called rarer than one in a hundred: a close this low or lower, or this high or higher. found against by_chance tells whether there are more of them than there should be. Tickers move together: a day of a crash brings many at once.';
COMMENT ON COLUMN surprises.log_return IS 'Natural log return from last_close to the actual close';
COMMENT ON COLUMN surprises.one_in IS 'So many forecasts were said to go by for one outcome at least as far out on this side';
COMMENT ON COLUMN surprises.forecasts IS 'Settled forecasts of this step';
COMMENT ON COLUMN surprises.found IS 'How many of them were at least as rare, on either side';
COMMENT ON COLUMN surprises.by_chance IS 'How many at least as rare were to be expected, on both sides together';

CREATE VIEW portfolio_outcomes AS
WITH held AS (
    SELECT run_id, portfolio, step, unnest(tickers) AS ticker, unnest(weights) AS weight
    FROM portfolio_forecasts
),
settled AS (
    SELECT
        h.run_id,
        h.portfolio,
        h.step,
        sum(h.weight * ((o.actual + coalesce(f.dividend, 0)) / f.last_close - 1)) AS actual,
        max(o.settled_at) AS settled_at
    FROM held AS h
    JOIN forecasts AS f USING (run_id, ticker, step)
    LEFT JOIN forecast_outcomes AS o USING (run_id, ticker, step)
    GROUP BY h.run_id, h.portfolio, h.step
    HAVING count(o.actual) = count(*)
)
SELECT
    p.* EXCLUDE (tickers, weights),
    r.as_of,
    s.actual,
    s.actual < p.q01 AS below01,
    s.actual < p.q025 AS below025,
    s.actual < p.q05 AS below05,
    s.settled_at
FROM portfolio_forecasts AS p
JOIN settled AS s USING (run_id, portfolio, step)
JOIN runs AS r USING (run_id);
COMMENT ON VIEW portfolio_outcomes IS 'The joint forecasts of the reference portfolios whose tickers are all settled, with the return that came true: one row per run, portfolio and step. Over many nights the share of below01 must be near 1 %, and so on.';
COMMENT ON COLUMN portfolio_outcomes.actual IS 'Return of the portfolio to the target sessions, dividends that were announced included, as a share of the money held or sold short';
COMMENT ON COLUMN portfolio_outcomes.below01 IS 'True where the return was below q01: a breach of the value at risk';
COMMENT ON COLUMN portfolio_outcomes.below025 IS 'True where the return was below q025';
COMMENT ON COLUMN portfolio_outcomes.below05 IS 'True where the return was below q05';


-- Questions about the latest forecasts

-- A macro's arguments are looked up where it is called, and there a column may be called `ticker` or `price` too: hence the inner SELECT
-- without FROM, and names that nobody else has.
CREATE MACRO latest_quantiles(ticker, step) AS (
    SELECT d.published
    FROM (
        SELECT
            f.ticker AS published_ticker,
            f.step AS published_step,
            [q005, q01, q025, q05, q10, q25, q50, q75, q90, q95, q975, q99, q995] AS published
        FROM latest_forecasts AS f
    ) AS d
    WHERE d.published_ticker = ticker AND d.published_step = step
);
COMMENT ON MACRO latest_quantiles IS 'The 13 published quantiles, from q005 to q995, of the latest forecast of a ticker and step; NULL where there is no such forecast';

CREATE MACRO probability_below(ticker, step, price) AS (
    SELECT probability_in(a.published, a.asked)
    FROM (SELECT price::DOUBLE AS asked, latest_quantiles(ticker, step) AS published) AS a
);
COMMENT ON MACRO probability_below IS 'Probability that the close of the ticker, step sessions after the cutoff of its latest forecast, is up to price; NULL where there is no such forecast. Example: SELECT ticker, probability_below(ticker, 5, 0.9 * last_close) AS falls_by_a_tenth FROM latest_forecasts WHERE step = 5';

CREATE MACRO price_at(ticker, step, probability) AS (
    SELECT price_in(a.published, a.asked)
    FROM (SELECT probability::DOUBLE AS asked, latest_quantiles(ticker, step) AS published) AS a
);
COMMENT ON MACRO price_at IS 'Price below which the close of the ticker, step sessions after the cutoff of its latest forecast, lies with this probability (between 0 and 1, both excluded); NULL where there is no such forecast. Example: SELECT price_at(''AAPL'', 1, 0.001)';

CREATE MACRO hazen(ordered, p) AS
    ordered[greatest(floor(p * len(ordered) + 0.5), 1)::BIGINT]
    + (p * len(ordered) + 0.5 - floor(p * len(ordered) + 0.5)) * (
        ordered[least(floor(p * len(ordered) + 1.5), len(ordered))::BIGINT]
        - ordered[greatest(floor(p * len(ordered) + 0.5), 1)::BIGINT]
    );
COMMENT ON MACRO hazen IS 'Quantile at p of a list in ascending order, whose i-th of n values is the quantile at (i - 1/2) / n (Hazen 1914)';

CREATE MACRO mean_of_worst(ordered, p) AS list_avg(ordered[1:greatest(round(p * len(ordered)), 1)::BIGINT]);
COMMENT ON MACRO mean_of_worst IS 'Mean of the smallest values, a share p of them, of a list in ascending order';

CREATE MACRO portfolio_risk(holdings, step) AS TABLE
WITH held AS (
    SELECT unnest(map_keys(holdings)) AS ticker, unnest(map_values(holdings))::DOUBLE AS shares
),
priced AS (
    SELECT
        h.ticker,
        h.shares,
        f.last_close,
        coalesce(f.dividend, 0) AS dividend,
        coalesce(f.currency, 'an unnamed currency') AS currency,
        s.prices
    FROM held AS h
    LEFT JOIN latest_forecasts AS f ON f.ticker = h.ticker AND f.step = step
    LEFT JOIN scenarios AS s ON s.run_id = f.run_id AND s.ticker = f.ticker AND s.step = f.step
),
checked AS (
    SELECT
        count(*) AS tickers,
        coalesce(min(currency) FILTER (shares <> 0), min(currency)) AS currency,
        coalesce(sum(shares * last_close), 0) AS value,
        CASE
            WHEN count(*) = 0 THEN error('holdings are empty: expected a MAP of tickers to numbers of shares')
            WHEN count_if(shares IS NULL OR NOT isfinite(shares)) > 0 THEN error(
                'holdings of ' || min(ticker) FILTER (shares IS NULL OR NOT isfinite(shares)) || ' are not a number of shares'
            )
            WHEN count_if(prices IS NULL) > 0 THEN error(
                'there are no scenarios of ' || min(ticker) FILTER (prices IS NULL) || ' at step ' || step
                || CASE WHEN count_if(prices IS NULL) > 1 THEN ' and of ' || count_if(prices IS NULL) - 1 || ' more' ELSE '' END
                || ': the tickers and steps there are: SELECT ticker, step FROM scenarios'
            )
            WHEN count(DISTINCT currency) FILTER (shares <> 0) > 1 THEN error(
                'holdings are in ' || min(currency) FILTER (shares <> 0) || ' and ' || max(currency) FILTER (shares <> 0)
                || ': ask for one currency at a time'
            )
            ELSE true
        END AS sound
    FROM priced
),
worlds AS (
    SELECT shares, last_close, dividend, unnest(prices)::DOUBLE AS price, generate_subscripts(prices, 1) AS world
    FROM priced
),
gained AS (
    SELECT list(gain ORDER BY gain) AS gains
    FROM (SELECT sum(shares * (price + dividend - last_close)) AS gain FROM worlds GROUP BY world)
)
SELECT
    c.tickers,
    c.currency,
    c.value,
    list_avg(g.gains) AS mean_gain,
    list_stddev_pop(g.gains) AS sigma,
    0 - hazen(g.gains, 0.05) AS var05,
    0 - hazen(g.gains, 0.025) AS var025,
    0 - hazen(g.gains, 0.01) AS var01,
    0 - mean_of_worst(g.gains, 0.05) AS es05,
    0 - mean_of_worst(g.gains, 0.025) AS es025,
    0 - mean_of_worst(g.gains, 0.01) AS es01,
    len(g.gains) AS worlds
FROM checked AS c, gained AS g
WHERE c.sound;
COMMENT ON MACRO TABLE portfolio_risk IS 'Risk of holdings, a MAP of tickers to numbers of shares (below 0: sold short), over step sessions, from the scenarios of the latest forecasts, with the dividends that are announced: value now, mean gain and its standard deviation, value at risk (the loss that is exceeded with a probability of 5, 2.5 and 1 %) and expected shortfall (the mean loss in the worst 5, 2.5 and 1 % of the worlds), in the currency of the holdings, of which there must be one. Example: SELECT * FROM portfolio_risk(MAP {''AAPL'': 100, ''MSFT'': -50}, 5)';

CREATE VIEW forecast_changes AS
WITH shared AS (
    SELECT t.run_id, count(*) AS shared
    FROM run_tickers AS t
    SEMI JOIN (
        SELECT ticker FROM run_tickers WHERE run_id IN (SELECT run_id FROM latest_forecasts)
    ) AS asked ON asked.ticker = t.ticker
    GROUP BY t.run_id
),
nights AS (
    SELECT r.run_id
    FROM runs AS r
    LEFT JOIN shared AS s ON s.run_id = r.run_id
    WHERE r.kind = 'nightly' AND r.status <> 'failed' AND r.as_of < (
        SELECT max(as_of) FROM runs WHERE run_id IN (SELECT run_id FROM latest_forecasts)
    )
    QUALIFY row_number() OVER (
        ORDER BY r.as_of DESC, coalesce(s.shared, 0) DESC, r.finished_at DESC, r.run_id DESC
    ) = 1
),
before AS (
    SELECT * FROM forecasts WHERE run_id = (SELECT run_id FROM nights)
),
driven AS (
    SELECT
        d.run_id,
        d.ticker,
        d.step,
        array_to_string(
            list(format('{} {:+.0f} %', d.driver, 100 * (exp(d.change) - 1)) ORDER BY abs(d.change) DESC, d.driver)[1:3],
            ', '
        ) AS largest_drivers
    FROM forecast_drivers AS d
    SEMI JOIN latest_forecasts AS l ON l.run_id = d.run_id
    WHERE abs(exp(d.change) - 1) >= 0.005
    GROUP BY d.run_id, d.ticker, d.step
)
SELECT
    coalesce(f.ticker, b.ticker) AS ticker,
    coalesce(f.step, b.step) AS step,
    f.run_id,
    b.run_id AS run_id_before,
    f.last_close,
    b.last_close AS last_close_before,
    ln(f.last_close / b.last_close) AS log_return,
    f.point,
    b.point AS point_before,
    f.sigma,
    b.sigma AS sigma_before,
    f.sigma / nullif(b.sigma, 0) - 1 AS sigma_change,
    ln(f.q05 / f.last_close) - ln(b.q05 / b.last_close) AS q05_change,
    ln(f.q95 / f.last_close) - ln(b.q95 / b.last_close) AS q95_change,
    f.made_by,
    b.made_by AS made_by_before,
    ln(f.q90 / f.q10) / nullif(ln(b.q90 / b.q10), 0) - 1 AS width_change,
    d.largest_drivers
FROM latest_forecasts AS f
FULL JOIN before AS b ON b.ticker = f.ticker AND b.step = f.step
LEFT JOIN driven AS d ON d.run_id = f.run_id AND d.ticker = f.ticker AND d.step = f.step;
COMMENT ON VIEW forecast_changes IS 'What changed since the nightly run before, that of an earlier evening, of several the one that was asked for most of the same tickers: one row per ticker and step of either. NULL on the side where a ticker has no forecast. Closes are each on the share basis of its night: after a split log_return shows it.';
COMMENT ON COLUMN forecast_changes.run_id_before IS 'The nightly run before';
COMMENT ON COLUMN forecast_changes.last_close_before IS 'Close that the forecast before started from';
COMMENT ON COLUMN forecast_changes.log_return IS 'Natural log of last_close / last_close_before';
COMMENT ON COLUMN forecast_changes.point_before IS 'Forecast close of the run before; its target session is one earlier';
COMMENT ON COLUMN forecast_changes.sigma_before IS 'sigma of the run before';
COMMENT ON COLUMN forecast_changes.sigma_change IS 'Share by which sigma grew: 0.1 is 10 % more';
COMMENT ON COLUMN forecast_changes.q05_change IS 'Change of the 5 % quantile''s log distance from the last close: below 0 the forecast sees a deeper fall';
COMMENT ON COLUMN forecast_changes.q95_change IS 'The same of the 95 % quantile: above 0 it sees a higher rise';
COMMENT ON COLUMN forecast_changes.made_by_before IS 'What made the numbers of the run before';
COMMENT ON COLUMN forecast_changes.width_change IS 'Share by which the log width of the 80 % interval, ln(q90 / q10), grew: 0.1 is 10 % wider';
COMMENT ON COLUMN forecast_changes.largest_drivers IS 'The drivers that changed it most, three at most, each with the share by which it alone made it wider or narrower; forecast_drivers has all of them, and why there are none. NULL where none changed it by half a per cent, or nothing can be compared';


-- Models and backtests

CREATE VIEW run_ticker_gains AS
SELECT
    t.run_id,
    t.ticker,
    t.decision,
    t.trigger,
    t.model_id,
    t.cost_seconds,
    t.expected_gain,
    count(o.baseline_pinball) AS n,
    1 - sum(o.pinball) FILTER (o.baseline_pinball IS NOT NULL) / nullif(sum(o.baseline_pinball), 0) AS realised_gain
FROM run_tickers AS t
JOIN models AS m ON m.run_id = t.run_id AND m.ticker = t.ticker
LEFT JOIN forecasts AS f ON f.ticker = t.ticker AND f.model_id = m.model_id
LEFT JOIN forecast_outcomes AS o ON o.run_id = f.run_id AND o.ticker = f.ticker AND o.step = f.step
GROUP BY ALL;
COMMENT ON VIEW run_ticker_gains IS 'What each training was worth: one row per run and ticker that trained a model, with the gain expected on validation and the one realised by its settled forecasts so far.';
COMMENT ON COLUMN run_ticker_gains.run_id IS 'Run that trained the model';
COMMENT ON COLUMN run_ticker_gains.decision IS 'fine_tune or retrain';
COMMENT ON COLUMN run_ticker_gains.trigger IS 'Why: no_model, changed_settings, age, drift, new_data, model_damaged or asked_for';
COMMENT ON COLUMN run_ticker_gains.model_id IS 'Model that answered in that run; NULL where a baseline did';
COMMENT ON COLUMN run_ticker_gains.cost_seconds IS 'Wall seconds spent on it';
COMMENT ON COLUMN run_ticker_gains.expected_gain IS 'Share of the naive forecast''s pinball loss saved on validation';
COMMENT ON COLUMN run_ticker_gains.n IS 'Settled forecasts of the model so far';
COMMENT ON COLUMN run_ticker_gains.realised_gain IS 'The same share over those; NULL while there are none';

CREATE VIEW latest_backtest_scores AS
SELECT s.*, b.as_of
FROM backtest_scores AS s
JOIN backtests AS b USING (backtest_id)
JOIN runs AS r USING (run_id)
QUALIFY row_number() OVER (PARTITION BY s.ticker, s.model, s.step ORDER BY r.finished_at DESC, s.backtest_id DESC) = 1;
COMMENT ON VIEW latest_backtest_scores IS 'The scores of each ticker, model and step in the newest backtest that has them.';


-- Events

CREATE VIEW event_track_record AS
WITH told AS (
    SELECT kind, ticker, session, source, arg_max(expected, revision) AS stood,
        min(known_at) FILTER (WHERE expected AND known_at < session) AS first_told,
        arg_min(value, revision) FILTER (WHERE expected AND known_at < session) AS first_value,
        arg_max(value, revision) FILTER (WHERE expected) AS last_value
    FROM events
    GROUP BY kind, ticker, session, source
),
past AS (
    SELECT *, date_diff('day', first_told::DATE, session) AS days_ahead
    FROM told
    WHERE first_told IS NOT NULL AND session <= (SELECT max(as_of) FROM runs)
)
SELECT kind, source, count(*) AS dates, avg(stood::INTEGER) AS stood, median(days_ahead) AS days_ahead,
    avg((abs(first_value - last_value) <= 1e-6 * last_value)::INTEGER) AS value_stood
FROM past
GROUP BY kind, source;
COMMENT ON VIEW event_track_record IS 'How often a date that was told ahead still stood when it came: one row per kind of event and source, of the dates that are past.';
COMMENT ON COLUMN event_track_record.kind IS 'What was to happen';
COMMENT ON COLUMN event_track_record.source IS 'Who listed the dates: files or yahoo';
COMMENT ON COLUMN event_track_record.dates IS 'Past dates that had been listed before they came';
COMMENT ON COLUMN event_track_record.stood IS 'Share of them that had not been given up for another by then';
COMMENT ON COLUMN event_track_record.days_ahead IS 'Median of how many days before they were first listed';
COMMENT ON COLUMN event_track_record.value_stood IS 'Of those with a value (ex_dividend, split), the share whose value stayed as it was first listed; NULL where none has one';
