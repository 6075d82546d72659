-- Variance forecasts beside the variance that came true, further scores of backtests, and how the published intervals hold, live.

ALTER TABLE backtest_forecasts ADD COLUMN sigma DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN trailing_sigma DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN realised_variance DOUBLE;
COMMENT ON COLUMN backtest_forecasts.sigma IS 'Forecast standard deviation of the natural log return from the cutoff to the target session; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.trailing_sigma IS 'Exponentially weighted standard deviation of one session''s log return as known at the cutoff; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.realised_variance IS 'Variance of the log return from the cutoff to the target session, measured from opens, highs, lows and closes (Garman and Klass, plus overnight); NULL in backtests made before it was kept';

ALTER TABLE backtest_scores ADD COLUMN qlike DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN cov95_low_vol DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN cov95_mid_vol DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN cov95_high_vol DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN pit_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN pinball_per_garch DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN winkler95_per_garch DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_qvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_garch_stat DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_garch_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_garch_qvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN mcs_pvalue DOUBLE;
COMMENT ON COLUMN backtest_scores.qlike IS 'Mean QLIKE loss of sigma squared against realised_variance; lower is better, 0 is perfect';
COMMENT ON COLUMN backtest_scores.cov95_low_vol IS 'cov95 in the third of the cutoffs with the lowest trailing_sigma; 0.95 is ideal';
COMMENT ON COLUMN backtest_scores.cov95_mid_vol IS 'cov95 in the middle third by trailing_sigma';
COMMENT ON COLUMN backtest_scores.cov95_high_vol IS 'cov95 in the third with the highest trailing_sigma';
COMMENT ON COLUMN backtest_scores.pit_pvalue IS 'p-value of the Kolmogorov-Smirnov test that the probabilities which the forecasts gave to prices up to the actual are uniform; small means that the intervals are wrong. NULL for all tickers together';
COMMENT ON COLUMN backtest_scores.pinball_per_garch IS 'Pinball loss divided by that of GARCH(1,1)-t on the same cutoffs: below 1 is better. Geometric mean for all tickers together';
COMMENT ON COLUMN backtest_scores.winkler95_per_garch IS 'Winkler score of the 95 % interval divided by that of GARCH(1,1)-t on the same cutoffs: below 1 is better';
COMMENT ON COLUMN backtest_scores.dm_qvalue IS 'dm_pvalue corrected for the number of tickers (Benjamini and Hochberg): of the tickers with 0.05 or less a twentieth is expected to be chance. NULL for all tickers together';
COMMENT ON COLUMN backtest_scores.dm_garch_stat IS 'Diebold-Mariano statistic of the pinball loss against GARCH(1,1)-t: below 0 the model was better';
COMMENT ON COLUMN backtest_scores.dm_garch_pvalue IS 'Two-sided p-value of dm_garch_stat';
COMMENT ON COLUMN backtest_scores.dm_garch_qvalue IS 'dm_garch_pvalue corrected for the number of tickers, as dm_qvalue';
COMMENT ON COLUMN backtest_scores.mcs_pvalue IS 'p-value in the model confidence set by pinball loss (Hansen, Lunde and Nason): models below 0.1 are not among the best, 1 is the best one';

-- A view of whole rows remembers their columns: it is made anew.
DROP VIEW latest_backtest_scores;

CREATE VIEW latest_backtest_scores AS
SELECT s.*, b.as_of
FROM backtest_scores AS s
JOIN backtests AS b USING (backtest_id)
JOIN runs AS r USING (run_id)
QUALIFY row_number() OVER (PARTITION BY s.ticker, s.model, s.step ORDER BY r.finished_at DESC, s.backtest_id DESC) = 1;
COMMENT ON VIEW latest_backtest_scores IS 'The scores of each ticker, model and step in the newest backtest that has them.';
COMMENT ON COLUMN latest_backtest_scores.backtest_id IS 'The backtest';
COMMENT ON COLUMN latest_backtest_scores.ticker IS 'Ticker in capitals; * for all tickers of the backtest together';
COMMENT ON COLUMN latest_backtest_scores.model IS 'Variant or baseline that was scored';
COMMENT ON COLUMN latest_backtest_scores.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN latest_backtest_scores.n IS 'Number of forecasts scored';
COMMENT ON COLUMN latest_backtest_scores.rmse IS 'Root mean squared error, in the ticker''s currency; NULL where it has no meaning, as across tickers of different currency';
COMMENT ON COLUMN latest_backtest_scores.mae IS 'Mean absolute error, in the ticker''s currency';
COMMENT ON COLUMN latest_backtest_scores.mase IS 'Mean absolute error divided by that of the naive one-session forecast in the training part; no unit';
COMMENT ON COLUMN latest_backtest_scores.rmse_naive IS 'Root mean squared error of the naive forecast (the price stays) on the same cutoffs, in the ticker''s currency';
COMMENT ON COLUMN latest_backtest_scores.rmse_ratio IS 'rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN latest_backtest_scores.direction_hit IS 'Share of forecasts whose direction was right, from 0 to 1; compare with up_share';
COMMENT ON COLUMN latest_backtest_scores.up_share IS 'Share of target sessions that closed above the cutoff, from 0 to 1: what always saying up would hit';
COMMENT ON COLUMN latest_backtest_scores.pinball IS 'Mean pinball loss over the published quantiles, in the ticker''s currency; lower is better';
COMMENT ON COLUMN latest_backtest_scores.winkler95 IS 'Mean Winkler score of the 95 % interval, in the ticker''s currency; lower is better';
COMMENT ON COLUMN latest_backtest_scores.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN latest_backtest_scores.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN latest_backtest_scores.dm_stat IS 'Diebold-Mariano statistic against the naive forecast: below 0 the model was better';
COMMENT ON COLUMN latest_backtest_scores.dm_pvalue IS 'Two-sided p-value of dm_stat: small means the difference is unlikely to be chance';
COMMENT ON COLUMN latest_backtest_scores.seconds IS 'Seconds of training and forecasting behind these scores';
COMMENT ON COLUMN latest_backtest_scores.as_of IS 'Evening whose knowledge the backtest used';
COMMENT ON COLUMN latest_backtest_scores.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
COMMENT ON COLUMN latest_backtest_scores.qlike IS 'Mean QLIKE loss of sigma squared against realised_variance; lower is better, 0 is perfect';
COMMENT ON COLUMN latest_backtest_scores.cov95_low_vol IS 'cov95 in the third of the cutoffs with the lowest trailing_sigma; 0.95 is ideal';
COMMENT ON COLUMN latest_backtest_scores.cov95_mid_vol IS 'cov95 in the middle third by trailing_sigma';
COMMENT ON COLUMN latest_backtest_scores.cov95_high_vol IS 'cov95 in the third with the highest trailing_sigma';
COMMENT ON COLUMN latest_backtest_scores.pit_pvalue IS 'p-value of the Kolmogorov-Smirnov test that the probabilities which the forecasts gave to prices up to the actual are uniform; small means that the intervals are wrong. NULL for all tickers together';
COMMENT ON COLUMN latest_backtest_scores.pinball_per_garch IS 'Pinball loss divided by that of GARCH(1,1)-t on the same cutoffs: below 1 is better. Geometric mean for all tickers together';
COMMENT ON COLUMN latest_backtest_scores.winkler95_per_garch IS 'Winkler score of the 95 % interval divided by that of GARCH(1,1)-t on the same cutoffs: below 1 is better';
COMMENT ON COLUMN latest_backtest_scores.dm_qvalue IS 'dm_pvalue corrected for the number of tickers (Benjamini and Hochberg): of the tickers with 0.05 or less a twentieth is expected to be chance. NULL for all tickers together';
COMMENT ON COLUMN latest_backtest_scores.dm_garch_stat IS 'Diebold-Mariano statistic of the pinball loss against GARCH(1,1)-t: below 0 the model was better';
COMMENT ON COLUMN latest_backtest_scores.dm_garch_pvalue IS 'Two-sided p-value of dm_garch_stat';
COMMENT ON COLUMN latest_backtest_scores.dm_garch_qvalue IS 'dm_garch_pvalue corrected for the number of tickers, as dm_qvalue';
COMMENT ON COLUMN latest_backtest_scores.mcs_pvalue IS 'p-value in the model confidence set by pinball loss (Hansen, Lunde and Nason): models below 0.1 are not among the best, 1 is the best one';

-- A p-chart (Shewhart 1931): were the intervals right, their share of hits would leave three standard errors about once in 370 looks.
-- Outcomes of step s overlap, so that n of them are worth n / s.
CREATE VIEW rolling_coverage AS
WITH settled AS (
    SELECT f.ticker, f.step, f.cutoff, f.target_session, f.made_by, o.actual, o.error, o.naive_error, o.inside80, o.inside95
    FROM forecasts AS f
    JOIN forecast_outcomes AS o USING (run_id, ticker, step)
    JOIN runs AS r USING (run_id)
    QUALIFY row_number() OVER (PARTITION BY f.ticker, f.cutoff, f.step ORDER BY r.finished_at DESC, f.run_id DESC) = 1
),
rolled AS (
    SELECT
        ticker,
        step,
        target_session,
        made_by,
        count(*) OVER newest AS n,
        avg(inside80::DOUBLE) OVER newest AS cov80,
        avg(inside95::DOUBLE) OVER newest AS cov95,
        sqrt(avg((error / actual) ** 2) OVER newest / nullif(avg((naive_error / actual) ** 2) OVER newest, 0)) AS rmse_ratio
    FROM settled
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
COMMENT ON COLUMN rolling_coverage.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN rolling_coverage.step IS 'Sessions after the cutoff: 1 is the next session';
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
COMMENT ON COLUMN latest_coverage.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN latest_coverage.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN latest_coverage.target_session IS 'Session of the newest forecast counted, the exchange''s own date';
COMMENT ON COLUMN latest_coverage.made_by IS 'Variant or baseline that made the newest forecast counted';
COMMENT ON COLUMN latest_coverage.n IS 'Number of settled forecasts counted: 250 once there are as many';
COMMENT ON COLUMN latest_coverage.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN latest_coverage.low80 IS 'Lower control limit of cov80';
COMMENT ON COLUMN latest_coverage.high80 IS 'Upper control limit of cov80';
COMMENT ON COLUMN latest_coverage.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN latest_coverage.low95 IS 'Lower control limit of cov95';
COMMENT ON COLUMN latest_coverage.high95 IS 'Upper control limit of cov95';
COMMENT ON COLUMN latest_coverage.state IS 'too narrow: a share is below its limit; too wide: above; held: both are within';
COMMENT ON COLUMN latest_coverage.rmse_ratio IS 'Root mean squared error in per cent of the price, divided by that of saying that the price stays; below 1 is better';

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
    sum(cov95 * n) / sum(n) AS cov95
FROM forecast_skill
GROUP BY made_by, step;
COMMENT ON VIEW model_skill IS 'forecast_skill over all tickers: how good the published forecasts of each variant and baseline turned out to be, one row per made_by and step.';
COMMENT ON COLUMN model_skill.made_by IS 'Variant or baseline that made the forecasts';
COMMENT ON COLUMN model_skill.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN model_skill.tickers IS 'Number of tickers it answered for';
COMMENT ON COLUMN model_skill.n IS 'Number of settled forecasts';
COMMENT ON COLUMN model_skill.first_session IS 'First target session counted, the exchange''s own date';
COMMENT ON COLUMN model_skill.last_session IS 'Last target session counted, the exchange''s own date';
COMMENT ON COLUMN model_skill.rmse_ratio IS 'Geometric mean over the tickers of rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN model_skill.tickers_better IS 'Tickers whose ratio is below 1';
COMMENT ON COLUMN model_skill.tickers_worse IS 'Tickers whose ratio is above 1';
COMMENT ON COLUMN model_skill.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN model_skill.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
