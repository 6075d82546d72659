-- What was known at an instant, whatever the reader's time zone; and what did a run's arithmetic.

COMMENT ON COLUMN runs.libraries IS 'Versions of Python and the main libraries, and what did the arithmetic: trained_by and answered_by, as JSON';
