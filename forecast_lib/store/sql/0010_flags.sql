-- What was odd in the prices of a ticker that is fresh all the same; and what the statuses mean.

ALTER TABLE run_tickers ADD COLUMN flags VARCHAR;
COMMENT ON COLUMN run_tickers.flags IS 'What was found odd in the ticker''s prices and needs nobody, separated by semicolons; NULL where nothing was, and in runs made before it was kept';
COMMENT ON COLUMN run_tickers.status IS 'fresh: made from tonight''s prices by what serves best, network or baseline; last_good: the newest prices are missing or not trusted, or an older model answers because training failed; naive: only baselines can answer; ended: there will be no more prices, so no forecast; none: fewer than ten usable sessions';
COMMENT ON COLUMN run_tickers.reason IS 'Why the ticker is degraded, and what to do if anything, in words; NULL where it is not: fresh, or ended as an earlier run said';
