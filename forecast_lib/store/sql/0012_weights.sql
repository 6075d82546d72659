-- What each part of a combined forecast said, and how much it counted.

CREATE TABLE forecast_weights (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    model VARCHAR NOT NULL,
    weight DOUBLE NOT NULL,
    point DOUBLE NOT NULL,
    sigma DOUBLE NOT NULL,
    q005 DOUBLE NOT NULL,
    q01 DOUBLE NOT NULL,
    q025 DOUBLE NOT NULL,
    q05 DOUBLE NOT NULL,
    q10 DOUBLE NOT NULL,
    q25 DOUBLE NOT NULL,
    q50 DOUBLE NOT NULL,
    q75 DOUBLE NOT NULL,
    q90 DOUBLE NOT NULL,
    q95 DOUBLE NOT NULL,
    q975 DOUBLE NOT NULL,
    q99 DOUBLE NOT NULL,
    q995 DOUBLE NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE forecast_weights IS 'The parts of each forecast: the network, where the ticker has one, and the baselines, with the weight of each in the combination that answered and what it said alone. One row per run, ticker, step and model; weights of a forecast sum to one.';
COMMENT ON COLUMN forecast_weights.run_id IS 'Run that made the forecast';
COMMENT ON COLUMN forecast_weights.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecast_weights.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN forecast_weights.model IS 'Variant of the network, or baseline';
COMMENT ON COLUMN forecast_weights.weight IS 'Its share of the answer, 0 to 1: learned from the losses of all parts from the last 250 cutoffs whose outcome was known';
COMMENT ON COLUMN forecast_weights.point IS 'Its own forecast close of the target session, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.sigma IS 'Its own standard deviation of the natural log return from the last close to the target session';
COMMENT ON COLUMN forecast_weights.q005 IS 'Its own 0.5 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q01 IS 'Its own 1 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q025 IS 'Its own 2.5 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q05 IS 'Its own 5 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q10 IS 'Its own 10 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q25 IS 'Its own 25 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q50 IS 'Its own 50 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q75 IS 'Its own 75 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q90 IS 'Its own 90 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q95 IS 'Its own 95 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q975 IS 'Its own 97.5 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q99 IS 'Its own 99 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.q995 IS 'Its own 99.5 % quantile of the close, in the ticker''s currency';
COMMENT ON COLUMN forecast_weights.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
