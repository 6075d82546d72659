-- What a night's decision about a model cost, what it was expected to gain, and what it gained.

ALTER TABLE run_tickers ADD COLUMN cost_seconds DOUBLE;
ALTER TABLE run_tickers ADD COLUMN expected_gain DOUBLE;
COMMENT ON COLUMN run_tickers.cost_seconds IS 'Wall seconds spent on training, judging and choosing this ticker''s model in this run; the pooled network is not in it. NULL in runs made before it was kept';
COMMENT ON COLUMN run_tickers.expected_gain IS 'Share by which the model trained in this run beat the naive forecast''s pinball loss on its validation sessions: 0.02 is 2 %. NULL where nothing was trained';

ALTER TABLE forecast_outcomes ADD COLUMN baseline_pinball DOUBLE;
COMMENT ON COLUMN forecast_outcomes.baseline_pinball IS 'What the naive forecast made from the same cutoff, with its calibrated intervals, lost: compare with pinball. NULL in outcomes settled before it was kept';

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
COMMENT ON COLUMN run_ticker_gains.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN run_ticker_gains.decision IS 'fine_tune or retrain';
COMMENT ON COLUMN run_ticker_gains.trigger IS 'Why: no_model, changed_settings, age, drift, new_data, refused_before, model_damaged or asked_for';
COMMENT ON COLUMN run_ticker_gains.model_id IS 'Model that answered in that run; NULL where a baseline did';
COMMENT ON COLUMN run_ticker_gains.cost_seconds IS 'Wall seconds spent on it';
COMMENT ON COLUMN run_ticker_gains.expected_gain IS 'Share of the naive forecast''s pinball loss saved on validation';
COMMENT ON COLUMN run_ticker_gains.n IS 'Settled forecasts of the model so far';
COMMENT ON COLUMN run_ticker_gains.realised_gain IS 'The same share over those; NULL while there are none';
