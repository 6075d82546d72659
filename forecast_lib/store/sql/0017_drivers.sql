-- Why each interval is as wide as it is, and why its width changed.

CREATE TABLE forecast_drivers (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    driver VARCHAR NOT NULL,
    effect DOUBLE NOT NULL,
    change DOUBLE,
    why_no_change VARCHAR,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE forecast_drivers IS 'Why each interval is as wide as it is, and why it is wider or narrower than the night before: one row per run, ticker, step and driver. The effects of a forecast add up to ln(ln(q90 / q10)), its changes to the change of that since the nightly run before. exp(effect) is the factor by which a driver makes the 80 % interval wider. A forecast whose interval has no width has no rows.';
COMMENT ON COLUMN forecast_drivers.run_id IS 'Run that made the forecast';
COMMENT ON COLUMN forecast_drivers.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecast_drivers.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN forecast_drivers.driver IS 'usual level: what the width is on a usual evening of the ticker; last session, last week, last months: how much it moved in them, falls: and whether downwards; weekday; season: what happened at the same time of the quarters and of the year before; market-wide: what the tickers of its exchange have in common; covariate and event with their names; network: what the network makes of it; calibration: what came true lately; combination: the baselines beside the network, and the pooled shape of returns. Without a network recent sessions stand for all that the last months say. With an effect of 0: revised prices, new covariates and new weights, which can change a width without a new session';
COMMENT ON COLUMN forecast_drivers.effect IS 'Its part of ln(ln(q90 / q10)), against what is usual for the ticker';
COMMENT ON COLUMN forecast_drivers.change IS 'Its part of the change of that since the nightly run before, that of an earlier evening. One thing is exchanged at a time: the prices known by now (revised prices, with what is pooled of other tickers), the covariates known by now, the model (new weights), and last the new session, to which the change of every other driver belongs. NULL where the two cannot be compared';
COMMENT ON COLUMN forecast_drivers.why_no_change IS 'Why change is NULL. first: there was no such forecast before; universe: the run before was asked for other tickers; version: it was made by another version of Tickercast or of a library; settings: its network looked another number of steps ahead; weights: those that answered then are no longer there; session: the one that it started from is no longer among the prices; width: one of the two intervals has none';
COMMENT ON COLUMN forecast_drivers.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
