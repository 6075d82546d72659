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
