-- The tails of every forecast: quantiles far out, and how bad it is on average beyond them.

ALTER TABLE forecasts ADD COLUMN q005 DOUBLE;
ALTER TABLE forecasts ADD COLUMN q01 DOUBLE;
ALTER TABLE forecasts ADD COLUMN q99 DOUBLE;
ALTER TABLE forecasts ADD COLUMN q995 DOUBLE;
ALTER TABLE forecasts ADD COLUMN es01 DOUBLE;
ALTER TABLE forecasts ADD COLUMN es025 DOUBLE;
COMMENT ON COLUMN forecasts.q005 IS '0.5 % quantile of the close, in the ticker''s currency; NULL in forecasts made before it was kept';
COMMENT ON COLUMN forecasts.q01 IS '1 % quantile of the close: with probability 0.99 it is above; NULL in forecasts made before it was kept';
COMMENT ON COLUMN forecasts.q99 IS '99 % quantile of the close; NULL in forecasts made before it was kept';
COMMENT ON COLUMN forecasts.q995 IS '99.5 % quantile of the close; NULL in forecasts made before it was kept';
COMMENT ON COLUMN forecasts.es01 IS 'Expected shortfall: mean close in the worst 1 % of cases, those below q01, in the ticker''s currency; NULL in forecasts made before it was kept';
COMMENT ON COLUMN forecasts.es025 IS 'Expected shortfall: mean close in the worst 2.5 % of cases, those below q025; NULL in forecasts made before it was kept';

ALTER TABLE backtest_forecasts ADD COLUMN q005 DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN q01 DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN q99 DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN q995 DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN es01 DOUBLE;
ALTER TABLE backtest_forecasts ADD COLUMN es025 DOUBLE;
COMMENT ON COLUMN backtest_forecasts.q005 IS '0.5 % quantile of the close; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.q01 IS '1 % quantile of the close; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.q99 IS '99 % quantile of the close; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.q995 IS '99.5 % quantile of the close; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.es01 IS 'Expected shortfall: mean close in the worst 1 % of cases, those below q01; NULL in backtests made before it was kept';
COMMENT ON COLUMN backtest_forecasts.es025 IS 'Expected shortfall: mean close in the worst 2.5 % of cases, those below q025; NULL in backtests made before it was kept';
