-- What a training gained over the model before it, and what the log of past ones promises of the next.

ALTER TABLE models ADD COLUMN val_gain DOUBLE;
COMMENT ON COLUMN models.val_gain IS 'Share of the pinball loss of the ticker''s model before it that it saved on the validation sessions, which neither was fitted on: below 0 it lost. NULL without one, and in models trained before it was kept';
ALTER TABLE run_tickers ADD COLUMN expected_seconds DOUBLE;
COMMENT ON COLUMN run_tickers.expected_seconds IS 'What such a training took on the mean of the last year, where the decision was made by it; its mean gain is expected_gain then';
