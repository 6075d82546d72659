-- What was wrong with a ticker's prices on a night, so that the night can be run again as it was.

ALTER TABLE run_tickers ADD COLUMN problem VARCHAR;
COMMENT ON COLUMN run_tickers.problem IS 'Why the ticker''s newest prices did not come that night: the rule and the reason; NULL where they came, and in runs made before it was kept';
