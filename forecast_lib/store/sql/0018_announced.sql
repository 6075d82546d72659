-- What is announced of the price itself: dividends and splits ahead.

ALTER TABLE events ADD COLUMN value DOUBLE;
COMMENT ON COLUMN events.value IS 'Of ex_dividend the cash for a share of that day, in the ticker''s currency; of split the new shares for an old one. NULL where it was not said, and for all other kinds';

ALTER TABLE forecasts ADD COLUMN dividend DOUBLE;
ALTER TABLE forecasts ADD COLUMN split DOUBLE;
COMMENT ON COLUMN forecasts.dividend IS 'Announced dividends that a share of the cutoff''s basis will have paid by the target session: so much of last_close the forecast takes off, point and all quantiles, as a share of last_close. NULL in rows from before this column';
COMMENT ON COLUMN forecasts.split IS 'Shares that one share of the cutoff will have become by the target session, by splits that are announced; 1 for none. The forecast, and the actual close it is settled by, stay for one share of the cutoff: divided by this they are the price that will be quoted. NULL in rows from before this column';
