-- What keeping models fresh is worth: the arms of a replay in the scores of backtests; and the naive forecast's loss in the views of skill.

ALTER TABLE backtest_scores ADD COLUMN arm VARCHAR;
ALTER TABLE backtest_scores ADD COLUMN cpu_seconds DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN gain_over_none DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN gain_per_cpu_second DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_none_stat DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_none_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN dm_none_qvalue DOUBLE;
COMMENT ON COLUMN backtest_scores.arm IS 'Where the nights were replayed: fine_tune (as nights are), retrain (without their fine-tunes) or none (trained once); NULL for all else';
COMMENT ON COLUMN backtest_scores.cpu_seconds IS 'CPU seconds of training, judging and choosing the models of this arm, the pooled networks'' in it (a ticker bears an equal share); NULL for all else';
COMMENT ON COLUMN backtest_scores.gain_over_none IS 'Share of the pinball loss of the arm none that this arm saved on the same cutoffs: 0.02 is 2 %. Geometric mean for all tickers together';
COMMENT ON COLUMN backtest_scores.gain_per_cpu_second IS 'gain_over_none divided by the CPU seconds that the arm took more than none';
COMMENT ON COLUMN backtest_scores.dm_none_stat IS 'Diebold-Mariano statistic of the pinball loss against the arm none: below 0 this arm was better';
COMMENT ON COLUMN backtest_scores.dm_none_pvalue IS 'Two-sided p-value of dm_none_stat';
COMMENT ON COLUMN backtest_scores.dm_none_qvalue IS 'dm_none_pvalue corrected for the number of tickers, as dm_qvalue';
COMMENT ON COLUMN backtest_scores.model IS 'Variant or baseline that was scored; served: what the nights would have published; VARIANT_ARM, for example stacked_fine_tune: the same where the nights were replayed, see arm';
COMMENT ON COLUMN backtest_forecasts.model IS 'Variant or baseline that forecast; served: what the nights would have published; VARIANT_ARM, for example stacked_fine_tune: the same where the nights were replayed, see backtest_scores.arm';

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
COMMENT ON COLUMN latest_backtest_scores.model IS 'Variant or baseline that was scored; served: what the nights would have published; VARIANT_ARM, for example stacked_fine_tune: the same where the nights were replayed, see arm';
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
COMMENT ON COLUMN latest_backtest_scores.arm IS 'Where the nights were replayed: fine_tune (as nights are), retrain (without their fine-tunes) or none (trained once); NULL for all else';
COMMENT ON COLUMN latest_backtest_scores.cpu_seconds IS 'CPU seconds of training, judging and choosing the models of this arm, the pooled networks'' in it (a ticker bears an equal share); NULL for all else';
COMMENT ON COLUMN latest_backtest_scores.gain_over_none IS 'Share of the pinball loss of the arm none that this arm saved on the same cutoffs: 0.02 is 2 %. Geometric mean for all tickers together';
COMMENT ON COLUMN latest_backtest_scores.gain_per_cpu_second IS 'gain_over_none divided by the CPU seconds that the arm took more than none';
COMMENT ON COLUMN latest_backtest_scores.dm_none_stat IS 'Diebold-Mariano statistic of the pinball loss against the arm none: below 0 this arm was better';
COMMENT ON COLUMN latest_backtest_scores.dm_none_pvalue IS 'Two-sided p-value of dm_none_stat';
COMMENT ON COLUMN latest_backtest_scores.dm_none_qvalue IS 'dm_none_pvalue corrected for the number of tickers, as dm_qvalue';

DROP VIEW model_skill;
DROP VIEW forecast_skill;

CREATE VIEW forecast_skill AS
WITH settled AS (
    SELECT f.ticker, f.made_by, f.step, f.target_session, o.error, o.naive_error, o.pinball, o.baseline_pinball, o.inside80, o.inside95
    FROM forecasts AS f
    JOIN forecast_outcomes AS o USING (run_id, ticker, step)
    JOIN runs AS r USING (run_id)
    QUALIFY row_number() OVER (PARTITION BY f.ticker, f.cutoff, f.step ORDER BY r.finished_at DESC, f.run_id DESC) = 1
)
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
FROM settled
GROUP BY ticker, made_by, step;
COMMENT ON VIEW forecast_skill IS 'How good the published forecasts turned out to be, over all that are settled: one row per ticker, made_by and step. Where several runs forecast the same session from the same cutoff, the newest counts.';
COMMENT ON COLUMN forecast_skill.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecast_skill.made_by IS 'Variant or baseline that made the forecasts';
COMMENT ON COLUMN forecast_skill.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN forecast_skill.n IS 'Number of settled forecasts';
COMMENT ON COLUMN forecast_skill.first_session IS 'First target session counted, the exchange''s own date';
COMMENT ON COLUMN forecast_skill.last_session IS 'Last target session counted, the exchange''s own date';
COMMENT ON COLUMN forecast_skill.rmse IS 'Root mean squared error, in the ticker''s currency';
COMMENT ON COLUMN forecast_skill.rmse_naive IS 'The same for saying that the price stays, on the same sessions';
COMMENT ON COLUMN forecast_skill.rmse_ratio IS 'rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN forecast_skill.pinball IS 'Mean pinball loss over the published quantiles, in the ticker''s currency; lower is better';
COMMENT ON COLUMN forecast_skill.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN forecast_skill.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN forecast_skill.baseline_pinball IS 'Mean pinball loss of the naive forecast with its calibrated intervals from the same cutoffs; NULL where none was settled with it';
COMMENT ON COLUMN forecast_skill.pinball_gain IS 'Share of the naive forecast''s pinball loss that these forecasts saved: above 0 is better';

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
COMMENT ON COLUMN model_skill.pinball_gain IS 'Share of the naive forecast''s pinball loss that was saved, geometric mean over the tickers: above 0 is better';

-- Tickers move together, so that a date counts once: a share is the mean over the sessions of that session's share, its standard error that
-- of the sessions' scatter, at least what independent tickers would have. Outcomes of step s overlap, so that n sessions are worth n / s.
CREATE VIEW model_coverage AS
WITH settled AS (
    SELECT f.made_by, f.step, f.target_session, o.inside80::DOUBLE AS inside80, o.inside95::DOUBLE AS inside95
    FROM forecasts AS f
    JOIN forecast_outcomes AS o USING (run_id, ticker, step)
    JOIN runs AS r USING (run_id)
    QUALIFY row_number() OVER (PARTITION BY f.ticker, f.cutoff, f.step ORDER BY r.finished_at DESC, f.run_id DESC) = 1
),
dated AS (
    SELECT made_by, step, target_session, count(*) AS forecasts, avg(inside80) AS share80, avg(inside95) AS share95
    FROM settled
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
COMMENT ON COLUMN model_coverage.made_by IS 'Variant or baseline that made the forecasts';
COMMENT ON COLUMN model_coverage.step IS 'Sessions after the cutoff: 1 is the next session';
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
