-- Joint scenarios of the published run, and the joint forecasts of the reference portfolios.

CREATE TABLE scenarios (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    prices FLOAT[] NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE scenarios IS 'Joint draws of the newest nightly run that made forecasts, one row per ticker and step: the same place in every ticker''s list is one possible world, all equally likely. Older ones are not kept: running a past night again draws them again.';
COMMENT ON COLUMN scenarios.run_id IS 'Run that made them';
COMMENT ON COLUMN scenarios.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN scenarios.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN scenarios.prices IS 'Close of the target session in each world, in the ticker''s currency: the quantiles of its forecast at (i - 1/2) / n, in the order of the worlds';
COMMENT ON COLUMN scenarios.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE portfolio_forecasts (
    run_id VARCHAR NOT NULL,
    portfolio VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    tickers VARCHAR[] NOT NULL,
    weights DOUBLE[] NOT NULL,
    mean DOUBLE NOT NULL,
    sigma DOUBLE NOT NULL,
    q01 DOUBLE NOT NULL,
    q025 DOUBLE NOT NULL,
    q05 DOUBLE NOT NULL,
    q50 DOUBLE NOT NULL,
    q95 DOUBLE NOT NULL,
    q975 DOUBLE NOT NULL,
    q99 DOUBLE NOT NULL,
    es01 DOUBLE NOT NULL,
    es025 DOUBLE NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE portfolio_forecasts IS 'What the scenarios of each nightly run said of the reference portfolios, which judge the joint forecast: one row per run, portfolio and step. Returns are shares of the money held or sold short, each ticker''s in its own currency. portfolio_outcomes has what came true.';
COMMENT ON COLUMN portfolio_forecasts.run_id IS 'Run that made the forecast';
COMMENT ON COLUMN portfolio_forecasts.portfolio IS 'equal: the same money in each ticker; inverse_volatility: less in those that move more; long_short: half of them sold short; random_001 and so on: up to ten tickers by chance. Tickers whose prices were in doubt that night are left out';
COMMENT ON COLUMN portfolio_forecasts.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN portfolio_forecasts.tickers IS 'Tickers held';
COMMENT ON COLUMN portfolio_forecasts.weights IS 'Share of the money in each of them, below 0 where sold short; without sign they sum to 1';
COMMENT ON COLUMN portfolio_forecasts.mean IS 'Mean of the return over the worlds';
COMMENT ON COLUMN portfolio_forecasts.sigma IS 'Standard deviation of the return over the worlds';
COMMENT ON COLUMN portfolio_forecasts.q01 IS '1 % quantile of the return: less its sign, the 99 % value at risk';
COMMENT ON COLUMN portfolio_forecasts.q025 IS '2.5 % quantile of the return';
COMMENT ON COLUMN portfolio_forecasts.q05 IS '5 % quantile of the return';
COMMENT ON COLUMN portfolio_forecasts.q50 IS '50 % quantile of the return; the median';
COMMENT ON COLUMN portfolio_forecasts.q95 IS '95 % quantile of the return';
COMMENT ON COLUMN portfolio_forecasts.q975 IS '97.5 % quantile of the return';
COMMENT ON COLUMN portfolio_forecasts.q99 IS '99 % quantile of the return';
COMMENT ON COLUMN portfolio_forecasts.es01 IS 'Mean return in the worst 1 % of the worlds: expected shortfall';
COMMENT ON COLUMN portfolio_forecasts.es025 IS 'Mean return in the worst 2.5 % of the worlds';
COMMENT ON COLUMN portfolio_forecasts.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
