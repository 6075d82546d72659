-- What else was known: named series and events, and what was tried of them.

CREATE TABLE covariates (
    name VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    revision BIGINT NOT NULL,
    value DOUBLE NOT NULL,
    announced_at TIMESTAMP,
    source VARCHAR NOT NULL,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE covariates IS 'Named series that users bring beside prices (--covariates), every revision of every value; append-only. A ticker that serves as a covariate has its rows in prices. The newest revision stored up to an instant is what was known then.';
COMMENT ON COLUMN covariates.name IS 'Name of the series as the file has it';
COMMENT ON COLUMN covariates.ticker IS 'Ticker that the value is of, * for the whole market';
COMMENT ON COLUMN covariates.session IS 'Day that the value is of';
COMMENT ON COLUMN covariates.revision IS '0 for the first value of a session, one more for each correction';
COMMENT ON COLUMN covariates.value IS 'The value, in the units of the file';
COMMENT ON COLUMN covariates.announced_at IS 'When the value became known in the world, UTC, as the file says; NULL: at the close of its session';
COMMENT ON COLUMN covariates.source IS 'Where the value came from: files';
COMMENT ON COLUMN covariates.known_at IS 'When the run that stored it started, UTC: from then on it is known here';
COMMENT ON COLUMN covariates.run_id IS 'Run that stored it';

CREATE TABLE events (
    kind VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    revision BIGINT NOT NULL,
    expected BOOLEAN NOT NULL,
    announced_at TIMESTAMP,
    source VARCHAR NOT NULL,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE events IS 'Events with a date, past and to come, that users bring (--events) or a calendar lists, every revision of every date; append-only. A date that is given up gets a revision that is not expected. What an exchange''s own calendar knows is not stored: it can be computed.';
COMMENT ON COLUMN events.kind IS 'What happens, for example earnings or fomc';
COMMENT ON COLUMN events.ticker IS 'Ticker it happens to, * for the whole market';
COMMENT ON COLUMN events.session IS 'Day on which it happens, or the first session after it where that day has none';
COMMENT ON COLUMN events.revision IS '0 when the date is first listed, one more for each time it is given up or listed again';
COMMENT ON COLUMN events.expected IS 'Whether the date is listed; false: it no longer is';
COMMENT ON COLUMN events.announced_at IS 'When the date became known in the world, UTC, as the file says; NULL: ever since where it was past when first stored, else from known_at on';
COMMENT ON COLUMN events.source IS 'Where the date came from: files or yahoo';
COMMENT ON COLUMN events.known_at IS 'When the run that stored it started, UTC: from then on it is known here';
COMMENT ON COLUMN events.run_id IS 'Run that stored it';

CREATE TABLE covariate_trials (
    run_id VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    inputs VARCHAR[] NOT NULL,
    half_years BIGINT NOT NULL,
    tickers BIGINT NOT NULL,
    loss_without DOUBLE,
    loss_with DOUBLE,
    tickers_better BIGINT NOT NULL,
    pvalue DOUBLE NOT NULL,
    pvalue_adjusted DOUBLE NOT NULL,
    kept BOOLEAN NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE covariate_trials IS 'Covariates and events that were tried when pooled networks were trained: one row per pool and candidate. A candidate enters the volatility scale only if it lowers its loss by more than chance; the others were tried and left out.';
COMMENT ON COLUMN covariate_trials.run_id IS 'Run that tried them';
COMMENT ON COLUMN covariate_trials.model_id IS 'Pooled model they were tried for; its tickers'' models read what was kept';
COMMENT ON COLUMN covariate_trials.name IS 'covariate NAME or event KIND; the ranges of a covariate that has open, high and low are tried apart';
COMMENT ON COLUMN covariate_trials.inputs IS 'Inputs of the volatility scale that it consists of';
COMMENT ON COLUMN covariate_trials.half_years IS 'Half-years of 125 sessions in which it is known, each forecast by slopes fitted on all others';
COMMENT ON COLUMN covariate_trials.tickers IS 'Tickers that were forecast';
COMMENT ON COLUMN covariate_trials.loss_without IS 'QLIKE of the volatility scale without it, mean over half-years, tickers and steps; beside what was kept before it. NULL where it is never known';
COMMENT ON COLUMN covariate_trials.loss_with IS 'The same with it';
COMMENT ON COLUMN covariate_trials.tickers_better IS 'Tickers whose loss is lower with it';
COMMENT ON COLUMN covariate_trials.pvalue IS 'One-sided p-value of a t-test that the loss is lower with it, half-years as its observations; 1 where it cannot be tested';
COMMENT ON COLUMN covariate_trials.pvalue_adjusted IS 'p-value times the number of candidates it was tried among, at most 1';
COMMENT ON COLUMN covariate_trials.kept IS 'Whether it entered the volatility scale: pvalue_adjusted up to 0.05, and the best of its round';
COMMENT ON COLUMN covariate_trials.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
