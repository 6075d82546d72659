-- The first schema. Released files are never edited: a change is a new numbered file.
--
-- No primary key, unique constraint or index anywhere: tables are append-only and store/audits.py finds duplicates before a
-- commit. (DuckDB's known recovery faults sit where indexes meet the write-ahead log.)
-- A session is a DATE of the exchange's own calendar, an instant a TIMESTAMP in UTC, a price a DOUBLE in the ticker's currency.


CREATE TABLE prices (
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE NOT NULL,
    adj_close DOUBLE,
    volume DOUBLE,
    currency VARCHAR,
    source VARCHAR NOT NULL,
    revision BIGINT NOT NULL,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);
COMMENT ON TABLE prices IS 'Daily prices, append-only: one row per ticker, session and revision. A correction by the source is a new revision; nothing is ever changed or deleted. Prices are as traded on that session, in the ticker''s currency; splits are in corporate_actions.';
COMMENT ON COLUMN prices.ticker IS 'Ticker in capitals, for example AAPL';
COMMENT ON COLUMN prices.session IS 'Trading day, the exchange''s own date';
COMMENT ON COLUMN prices.open IS 'First price of the session, as traded, in the ticker''s currency; NULL where the source has none';
COMMENT ON COLUMN prices.high IS 'Highest price of the session, as traded, in the ticker''s currency; NULL where the source has none';
COMMENT ON COLUMN prices.low IS 'Lowest price of the session, as traded, in the ticker''s currency; NULL where the source has none';
COMMENT ON COLUMN prices.close IS 'Last price of the session, as traded, in the ticker''s currency';
COMMENT ON COLUMN prices.adj_close IS 'The source''s own close adjusted for splits and dividends, as it was when this revision was stored; NULL where the source has none';
COMMENT ON COLUMN prices.volume IS 'Shares (or units) traded in the session; NULL where the source has none';
COMMENT ON COLUMN prices.currency IS 'Currency code as the source gives it, for example USD; NULL where it gives none';
COMMENT ON COLUMN prices.source IS 'Where the row came from: simulated, files or yahoo';
COMMENT ON COLUMN prices.revision IS '0 for the row as first stored, 1 for its first correction, and so on without gaps';
COMMENT ON COLUMN prices.known_at IS 'UTC time from which this revision was known here';
COMMENT ON COLUMN prices.run_id IS 'Run that stored the row';

CREATE TABLE corporate_actions (
    ticker VARCHAR NOT NULL,
    session DATE NOT NULL,
    kind VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    known_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE corporate_actions IS 'Dividends and splits as the source reports them, append-only: one row per ticker, session, kind and time of learning it. Where a value was corrected, the row with the newest known_at counts.';
COMMENT ON COLUMN corporate_actions.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN corporate_actions.session IS 'First session traded without the dividend, or on the new share basis; the exchange''s own date';
COMMENT ON COLUMN corporate_actions.kind IS 'dividend or split';
COMMENT ON COLUMN corporate_actions.value IS 'Dividend: cash per share in the ticker''s currency, on that day''s share basis. Split: new shares for one old share';
COMMENT ON COLUMN corporate_actions.known_at IS 'UTC time from which the action was known here';
COMMENT ON COLUMN corporate_actions.run_id IS 'Run that stored the row';
COMMENT ON COLUMN corporate_actions.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE quarantined_prices (
    ticker VARCHAR NOT NULL,
    session DATE,
    row VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    known_at TIMESTAMP NOT NULL,
    released_at TIMESTAMP,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE quarantined_prices IS 'Rows of the source that were refused, with the rule they broke: a log, never used for a forecast. A row that was accepted later is logged again with released_at.';
COMMENT ON COLUMN quarantined_prices.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN quarantined_prices.session IS 'Session of the refused row, the exchange''s own date; NULL where it could not be read';
COMMENT ON COLUMN quarantined_prices.row IS 'The row as it came, as text';
COMMENT ON COLUMN quarantined_prices.origin IS 'Where the row stood in the source, for example TSLA.csv line 17';
COMMENT ON COLUMN quarantined_prices.rule IS 'Short, stable name of the rule that refused it';
COMMENT ON COLUMN quarantined_prices.reason IS 'Why it was refused, as a sentence';
COMMENT ON COLUMN quarantined_prices.run_id IS 'Run that refused (or released) the row';
COMMENT ON COLUMN quarantined_prices.known_at IS 'UTC time at which it was refused';
COMMENT ON COLUMN quarantined_prices.released_at IS 'UTC time at which the row was accepted after all; NULL while it is held';
COMMENT ON COLUMN quarantined_prices.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    as_of DATE NOT NULL,
    known_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    status VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    config JSON NOT NULL,
    config_hash VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    libraries JSON NOT NULL,
    tickers BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    prices_hash VARCHAR,
    forecasts_hash VARCHAR,
    seconds_per_stage JSON NOT NULL
);
COMMENT ON TABLE runs IS 'Finished runs, one row each: what was asked, with which code, and how it ended.';
COMMENT ON COLUMN runs.run_id IS 'Name of the run; its report is reports/RUN_ID/index.html';
COMMENT ON COLUMN runs.kind IS 'What the run did: nightly, ingest, backtest or recipe';
COMMENT ON COLUMN runs.as_of IS 'Evening from which the run looked at the market: closed sessions dated up to it were known, none later';
COMMENT ON COLUMN runs.known_at IS 'UTC time up to which stored revisions counted for this run';
COMMENT ON COLUMN runs.started_at IS 'UTC time at which the run started';
COMMENT ON COLUMN runs.finished_at IS 'UTC time at which the run''s rows were complete';
COMMENT ON COLUMN runs.status IS 'fresh: every ticker fresh; degraded: some were not; failed: nothing usable came out';
COMMENT ON COLUMN runs.message IS 'The outcome in one sentence';
COMMENT ON COLUMN runs.source IS 'Price source of the run: simulated, files or yahoo';
COMMENT ON COLUMN runs.config IS 'Everything the run was asked to do, as JSON';
COMMENT ON COLUMN runs.config_hash IS 'First 16 hex digits of the SHA-256 of config';
COMMENT ON COLUMN runs.code_version IS 'Version of Tickercast that ran';
COMMENT ON COLUMN runs.libraries IS 'Versions of Python and the main libraries, as JSON';
COMMENT ON COLUMN runs.tickers IS 'Number of tickers asked for; run_tickers has as many rows for this run';
COMMENT ON COLUMN runs.degraded IS 'Number of those tickers that are not fresh';
COMMENT ON COLUMN runs.prices_hash IS 'SHA-256 over the prices that the run saw; equal hashes mean equal inputs. NULL where it saw none';
COMMENT ON COLUMN runs.forecasts_hash IS 'SHA-256 over the forecasts that the run made, its run_id left out; equal hashes mean equal forecasts. NULL where it made none';
COMMENT ON COLUMN runs.seconds_per_stage IS 'Wall-clock seconds of each stage, as JSON';

CREATE TABLE run_tickers (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    decision VARCHAR,
    trigger VARCHAR,
    model_id VARCHAR,
    made_by VARCHAR,
    train_seconds DOUBLE,
    last_session DATE,
    sessions_behind BIGINT,
    calendar VARCHAR,
    rows_new BIGINT NOT NULL,
    rows_refused BIGINT NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE run_tickers IS 'How each ticker fared in each run: exactly one row per run and ticker asked for.';
COMMENT ON COLUMN run_tickers.run_id IS 'The run';
COMMENT ON COLUMN run_tickers.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN run_tickers.status IS 'fresh: new prices and a usable model; last_good: an older model or older prices answered; naive: the baseline answered; none: no forecast';
COMMENT ON COLUMN run_tickers.reason IS 'Why the status is not fresh, in words; NULL where there is nothing to say';
COMMENT ON COLUMN run_tickers.decision IS 'What was done about the model: skip, fine_tune or retrain; NULL where none was considered';
COMMENT ON COLUMN run_tickers.trigger IS 'What led to the decision; NULL where none was taken';
COMMENT ON COLUMN run_tickers.model_id IS 'Model that answered; NULL where a baseline or nothing answered';
COMMENT ON COLUMN run_tickers.made_by IS 'Variant or baseline that answered, as in forecasts; NULL where nothing answered';
COMMENT ON COLUMN run_tickers.train_seconds IS 'Seconds of training spent on the ticker; NULL where none was spent';
COMMENT ON COLUMN run_tickers.last_session IS 'Newest session known for the ticker, the exchange''s own date; NULL where there is none';
COMMENT ON COLUMN run_tickers.sessions_behind IS 'Closed sessions missing between last_session and the run''s as-of evening; 0 is up to date';
COMMENT ON COLUMN run_tickers.calendar IS 'Exchange calendar used for the ticker, for example XNYS; NULL where none was needed';
COMMENT ON COLUMN run_tickers.rows_new IS 'New prices and new revisions that the run stored for the ticker';
COMMENT ON COLUMN run_tickers.rows_refused IS 'Rows of the source that the run refused for the ticker';
COMMENT ON COLUMN run_tickers.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE models (
    model_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    variant VARCHAR NOT NULL,
    parent_id VARCHAR,
    trained_as_of DATE NOT NULL,
    trained_through DATE NOT NULL,
    config JSON NOT NULL,
    weights_sha256 VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    epochs BIGINT NOT NULL,
    val_n BIGINT NOT NULL,
    val_rmse DOUBLE,
    val_rmse_naive DOUBLE,
    val_pinball DOUBLE,
    val_pinball_naive DOUBLE,
    val_cov80 DOUBLE,
    val_cov95 DOUBLE,
    shrinkage DOUBLE,
    promoted BOOLEAN NOT NULL,
    gate_reason VARCHAR NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE models IS 'Trained models: one row each, whether or not the model was good enough to be used. Weights are files in models/, named by their hash.';
COMMENT ON COLUMN models.model_id IS 'Name of the model';
COMMENT ON COLUMN models.run_id IS 'Run that trained it';
COMMENT ON COLUMN models.ticker IS 'Ticker it was trained for; * for a model pooled over tickers';
COMMENT ON COLUMN models.variant IS 'Network variant, for example stacked';
COMMENT ON COLUMN models.parent_id IS 'Model from whose weights training started; NULL where it started afresh';
COMMENT ON COLUMN models.trained_as_of IS 'As-of evening of the run that trained it';
COMMENT ON COLUMN models.trained_through IS 'Newest session it has seen, validation included; the exchange''s own date';
COMMENT ON COLUMN models.config IS 'Shape of the network and of its training, as JSON';
COMMENT ON COLUMN models.weights_sha256 IS 'SHA-256 of the weights file, checked before the file is read';
COMMENT ON COLUMN models.seed IS 'Random seed of the training';
COMMENT ON COLUMN models.epochs IS 'Epochs trained';
COMMENT ON COLUMN models.val_n IS 'Number of validation forecasts behind the val_ scores';
COMMENT ON COLUMN models.val_rmse IS 'Root mean squared error on the validation sessions; NULL where it could not be scored';
COMMENT ON COLUMN models.val_rmse_naive IS 'The same for the naive forecast (the price stays), in the same unit';
COMMENT ON COLUMN models.val_pinball IS 'Mean pinball loss over the published quantiles on the validation sessions; lower is better';
COMMENT ON COLUMN models.val_pinball_naive IS 'The same for the naive forecast, in the same unit';
COMMENT ON COLUMN models.val_cov80 IS 'Share of validation targets inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN models.val_cov95 IS 'Share of validation targets inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN models.shrinkage IS 'Share of the model''s own signal kept when its forecast is drawn towards the naive one: 0 none, 1 all';
COMMENT ON COLUMN models.promoted IS 'True where the model passed the gate against the baselines and may answer';
COMMENT ON COLUMN models.gate_reason IS 'Why the model was promoted or not';
COMMENT ON COLUMN models.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE forecasts (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    model_id VARCHAR,
    made_by VARCHAR NOT NULL,
    cutoff DATE NOT NULL,
    step BIGINT NOT NULL,
    target_session DATE NOT NULL,
    last_close DOUBLE NOT NULL,
    point DOUBLE NOT NULL,
    sigma DOUBLE NOT NULL,
    q025 DOUBLE NOT NULL,
    q05 DOUBLE NOT NULL,
    q10 DOUBLE NOT NULL,
    q25 DOUBLE NOT NULL,
    q50 DOUBLE NOT NULL,
    q75 DOUBLE NOT NULL,
    q90 DOUBLE NOT NULL,
    q95 DOUBLE NOT NULL,
    q975 DOUBLE NOT NULL,
    currency VARCHAR,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE forecasts IS 'Forecasts of every finished run: one row per run, ticker and step. Append-only.';
COMMENT ON COLUMN forecasts.run_id IS 'Run that made the forecast';
COMMENT ON COLUMN forecasts.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecasts.model_id IS 'Model that made the numbers; NULL where a baseline did';
COMMENT ON COLUMN forecasts.made_by IS 'Variant or baseline that made the numbers, for example stacked or naive';
COMMENT ON COLUMN forecasts.cutoff IS 'Last session that the forecast knew, the exchange''s own date';
COMMENT ON COLUMN forecasts.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN forecasts.target_session IS 'Session that is forecast, the exchange''s own date';
COMMENT ON COLUMN forecasts.last_close IS 'Close of the cutoff session, in the ticker''s currency';
COMMENT ON COLUMN forecasts.point IS 'Forecast close of the target session: a price in the ticker''s currency, on the share basis of the cutoff';
COMMENT ON COLUMN forecasts.sigma IS 'Forecast standard deviation of the natural log return from last_close to the target session';
COMMENT ON COLUMN forecasts.q025 IS '2.5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q05 IS '5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q10 IS '10 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q25 IS '25 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q50 IS '50 % quantile of the forecast close, in the ticker''s currency; the median';
COMMENT ON COLUMN forecasts.q75 IS '75 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q90 IS '90 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q95 IS '95 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.q975 IS '97.5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN forecasts.currency IS 'Currency code of the prices in this row; NULL where the source gives none';
COMMENT ON COLUMN forecasts.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE forecast_outcomes (
    run_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    target_session DATE NOT NULL,
    actual DOUBLE NOT NULL,
    error DOUBLE NOT NULL,
    naive_error DOUBLE NOT NULL,
    pinball DOUBLE NOT NULL,
    inside80 BOOLEAN NOT NULL,
    inside95 BOOLEAN NOT NULL,
    settled_at TIMESTAMP NOT NULL,
    settled_by VARCHAR NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE forecast_outcomes IS 'What became of each forecast, once the close of its target session was known: one row per run, ticker and step.';
COMMENT ON COLUMN forecast_outcomes.run_id IS 'Run that made the forecast';
COMMENT ON COLUMN forecast_outcomes.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN forecast_outcomes.step IS 'Step of the forecast: sessions after its cutoff';
COMMENT ON COLUMN forecast_outcomes.target_session IS 'Session that was forecast, the exchange''s own date';
COMMENT ON COLUMN forecast_outcomes.actual IS 'Close of the target session, on the share basis of the forecast, in the ticker''s currency';
COMMENT ON COLUMN forecast_outcomes.error IS 'Point minus actual, in the ticker''s currency: above 0 the forecast was too high';
COMMENT ON COLUMN forecast_outcomes.naive_error IS 'Last close minus actual, in the ticker''s currency: the error of saying that the price stays';
COMMENT ON COLUMN forecast_outcomes.pinball IS 'Mean pinball loss over the published quantiles, in the ticker''s currency; lower is better';
COMMENT ON COLUMN forecast_outcomes.inside80 IS 'True where the actual lay between q10 and q90';
COMMENT ON COLUMN forecast_outcomes.inside95 IS 'True where the actual lay between q025 and q975';
COMMENT ON COLUMN forecast_outcomes.settled_at IS 'UTC time at which the outcome was worked out';
COMMENT ON COLUMN forecast_outcomes.settled_by IS 'Run that worked it out';
COMMENT ON COLUMN forecast_outcomes.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE backtests (
    backtest_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    as_of DATE NOT NULL,
    config JSON NOT NULL,
    splits JSON NOT NULL,
    seconds DOUBLE NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE backtests IS 'Rolling-origin backtests, one row each.';
COMMENT ON COLUMN backtests.backtest_id IS 'Name of the backtest';
COMMENT ON COLUMN backtests.run_id IS 'Run that made it';
COMMENT ON COLUMN backtests.as_of IS 'Evening whose knowledge the backtest used: no later session, no later revision';
COMMENT ON COLUMN backtests.config IS 'Models, shares and folds, as JSON';
COMMENT ON COLUMN backtests.splits IS 'The training and test sessions of each fold, as JSON';
COMMENT ON COLUMN backtests.seconds IS 'Wall-clock seconds of the whole backtest';
COMMENT ON COLUMN backtests.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE backtest_forecasts (
    backtest_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    cutoff DATE NOT NULL,
    step BIGINT NOT NULL,
    target_session DATE NOT NULL,
    point DOUBLE NOT NULL,
    q025 DOUBLE NOT NULL,
    q05 DOUBLE NOT NULL,
    q10 DOUBLE NOT NULL,
    q25 DOUBLE NOT NULL,
    q50 DOUBLE NOT NULL,
    q75 DOUBLE NOT NULL,
    q90 DOUBLE NOT NULL,
    q95 DOUBLE NOT NULL,
    q975 DOUBLE NOT NULL,
    actual DOUBLE NOT NULL,
    naive DOUBLE NOT NULL,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE backtest_forecasts IS 'Every forecast of every backtest with what really happened: one row per backtest, ticker, model, cutoff and step.';
COMMENT ON COLUMN backtest_forecasts.backtest_id IS 'The backtest';
COMMENT ON COLUMN backtest_forecasts.ticker IS 'Ticker in capitals';
COMMENT ON COLUMN backtest_forecasts.model IS 'Variant or baseline that made the forecast';
COMMENT ON COLUMN backtest_forecasts.cutoff IS 'Last session that the forecast knew, the exchange''s own date';
COMMENT ON COLUMN backtest_forecasts.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN backtest_forecasts.target_session IS 'Session that is forecast, the exchange''s own date';
COMMENT ON COLUMN backtest_forecasts.point IS 'Forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q025 IS '2.5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q05 IS '5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q10 IS '10 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q25 IS '25 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q50 IS '50 % quantile of the forecast close, in the ticker''s currency; the median';
COMMENT ON COLUMN backtest_forecasts.q75 IS '75 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q90 IS '90 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q95 IS '95 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.q975 IS '97.5 % quantile of the forecast close, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.actual IS 'Close of the target session, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.naive IS 'Naive forecast: the close of the cutoff, in the ticker''s currency';
COMMENT ON COLUMN backtest_forecasts.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';

CREATE TABLE backtest_scores (
    backtest_id VARCHAR NOT NULL,
    ticker VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    n BIGINT NOT NULL,
    rmse DOUBLE,
    mae DOUBLE,
    mase DOUBLE,
    rmse_naive DOUBLE,
    rmse_ratio DOUBLE,
    direction_hit DOUBLE,
    up_share DOUBLE,
    pinball DOUBLE,
    winkler95 DOUBLE,
    cov80 DOUBLE,
    cov95 DOUBLE,
    dm_stat DOUBLE,
    dm_pvalue DOUBLE,
    seconds DOUBLE,
    source VARCHAR NOT NULL
);
COMMENT ON TABLE backtest_scores IS 'Scores of every backtest: one row per backtest, ticker (* for all together), model and step.';
COMMENT ON COLUMN backtest_scores.backtest_id IS 'The backtest';
COMMENT ON COLUMN backtest_scores.ticker IS 'Ticker in capitals; * for all tickers of the backtest together';
COMMENT ON COLUMN backtest_scores.model IS 'Variant or baseline that was scored';
COMMENT ON COLUMN backtest_scores.step IS 'Sessions after the cutoff: 1 is the next session';
COMMENT ON COLUMN backtest_scores.n IS 'Number of forecasts scored';
COMMENT ON COLUMN backtest_scores.rmse IS 'Root mean squared error, in the ticker''s currency; NULL where it has no meaning, as across tickers of different currency';
COMMENT ON COLUMN backtest_scores.mae IS 'Mean absolute error, in the ticker''s currency';
COMMENT ON COLUMN backtest_scores.mase IS 'Mean absolute error divided by that of the naive one-session forecast in the training part; no unit';
COMMENT ON COLUMN backtest_scores.rmse_naive IS 'Root mean squared error of the naive forecast (the price stays) on the same cutoffs, in the ticker''s currency';
COMMENT ON COLUMN backtest_scores.rmse_ratio IS 'rmse / rmse_naive: below 1 is better than saying that the price stays';
COMMENT ON COLUMN backtest_scores.direction_hit IS 'Share of forecasts whose direction was right, from 0 to 1; compare with up_share';
COMMENT ON COLUMN backtest_scores.up_share IS 'Share of target sessions that closed above the cutoff, from 0 to 1: what always saying up would hit';
COMMENT ON COLUMN backtest_scores.pinball IS 'Mean pinball loss over the published quantiles, in the ticker''s currency; lower is better';
COMMENT ON COLUMN backtest_scores.winkler95 IS 'Mean Winkler score of the 95 % interval, in the ticker''s currency; lower is better';
COMMENT ON COLUMN backtest_scores.cov80 IS 'Share of actuals inside the 80 % interval (q10 to q90); 0.80 is ideal';
COMMENT ON COLUMN backtest_scores.cov95 IS 'Share of actuals inside the 95 % interval (q025 to q975); 0.95 is ideal';
COMMENT ON COLUMN backtest_scores.dm_stat IS 'Diebold-Mariano statistic against the naive forecast: below 0 the model was better';
COMMENT ON COLUMN backtest_scores.dm_pvalue IS 'Two-sided p-value of dm_stat: small means the difference is unlikely to be chance';
COMMENT ON COLUMN backtest_scores.seconds IS 'Seconds of training and forecasting behind these scores';
COMMENT ON COLUMN backtest_scores.source IS 'Where the prices behind this row came from: yahoo, files or simulated; simulated ones are made up';
