-- What a night's decision about a model cost, what it was expected to gain, and what it gained.

ALTER TABLE run_tickers ADD COLUMN cost_seconds DOUBLE;
ALTER TABLE run_tickers ADD COLUMN expected_gain DOUBLE;
COMMENT ON COLUMN run_tickers.cost_seconds IS 'Wall seconds spent on training, judging and choosing this ticker''s model in this run; the pooled network is not in it. NULL in runs made before it was kept';
COMMENT ON COLUMN run_tickers.expected_gain IS 'Share by which the model trained in this run beat the naive forecast''s pinball loss on its validation sessions: 0.02 is 2 %. NULL where nothing was trained';

ALTER TABLE forecast_outcomes ADD COLUMN baseline_pinball DOUBLE;
COMMENT ON COLUMN forecast_outcomes.baseline_pinball IS 'What the naive forecast made from the same cutoff, with its calibrated intervals, lost: compare with pinball. NULL in outcomes settled before it was kept';
