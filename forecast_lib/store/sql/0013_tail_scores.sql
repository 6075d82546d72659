-- How the tails of backtests held: value at risk and expected shortfall at 1 and 2.5 %.

ALTER TABLE backtest_scores ADD COLUMN cov99 DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN below01 DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN below025 DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN joint01 DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN joint025 DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN kupiec01_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN kupiec01_qvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN kupiec025_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN kupiec025_qvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN christoffersen01_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN christoffersen01_qvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN christoffersen025_pvalue DOUBLE;
ALTER TABLE backtest_scores ADD COLUMN christoffersen025_qvalue DOUBLE;
COMMENT ON COLUMN backtest_scores.cov99 IS 'Share of actuals inside the 99 % interval (q005 to q995); 0.99 is ideal; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.below01 IS 'Share of actuals below q01; 0.01 is ideal; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.below025 IS 'Share of actuals below q025; 0.025 is ideal; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.joint01 IS 'Mean joint loss of q01 and es01 (Fissler and Ziegel), of simple returns; lower is better; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.joint025 IS 'The same of q025 and es025; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.kupiec01_pvalue IS 'p-value of the test that actuals lay below the 1 % quantile as often as they should (Kupiec), on outcomes that do not overlap; NULL for all tickers together; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.kupiec01_qvalue IS 'kupiec01_pvalue corrected for the number of tickers (Benjamini and Hochberg); NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.kupiec025_pvalue IS 'p-value of the test that actuals lay below the 2.5 % quantile as often as they should (Kupiec), on outcomes that do not overlap; NULL for all tickers together; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.kupiec025_qvalue IS 'kupiec025_pvalue corrected for the number of tickers (Benjamini and Hochberg); NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.christoffersen01_pvalue IS 'p-value of the test that they did, and not in a row (Christoffersen); NULL for all tickers together; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.christoffersen01_qvalue IS 'christoffersen01_pvalue corrected for the number of tickers; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.christoffersen025_pvalue IS 'p-value of the test that they did, and not in a row (Christoffersen); NULL for all tickers together; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_scores.christoffersen025_qvalue IS 'christoffersen025_pvalue corrected for the number of tickers; NULL in backtests made before it was kept';
