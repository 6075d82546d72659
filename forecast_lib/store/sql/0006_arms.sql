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
