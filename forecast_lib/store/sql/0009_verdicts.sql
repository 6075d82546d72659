-- What odd moves of prices were judged to be, and refused values of rows that stayed.

CREATE TABLE price_verdicts (
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    verdict VARCHAR NOT NULL,
    evidence JSON NOT NULL,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE price_verdicts IS 'Odd moves of the close and what the evidence says they are, append-only: one row each time that changes. The row with the newest known_at counts.';
COMMENT ON COLUMN price_verdicts.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN price_verdicts.session IS 'First session after the move, the exchange''s own date';
COMMENT ON COLUMN price_verdicts.verdict IS 'real: the ticker goes on; split: one that the source does not list, inferred; unit: another currency unit; bad_print: a wrong price; undecided: what follows will tell, within three sessions';
COMMENT ON COLUMN price_verdicts.evidence IS 'What speaks for it, as JSON; rows are the sessions whose rows wait in the quarantine, ratio what the prices before are divided by; by is person where a person decided';
COMMENT ON COLUMN price_verdicts.known_at IS 'UTC time from which this verdict was known here';
COMMENT ON COLUMN price_verdicts.run_id IS 'Run that judged it so';
COMMENT ON COLUMN price_verdicts.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

ALTER TABLE quarantined_prices ADD COLUMN field VARCHAR;
COMMENT ON COLUMN quarantined_prices.field IS 'Which values of the row were refused while the rest of it stayed, separated by commas; NULL where the whole row was refused';
COMMENT ON COLUMN corporate_actions.source IS 'Where the action came from: yahoo, files or simulated; inferred for a split that the prices show and no source lists';
