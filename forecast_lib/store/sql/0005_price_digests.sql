-- What the hash of a run's prices is made of.

COMMENT ON COLUMN runs.prices_hash IS 'SHA-256 over the prices that the run saw, from a digest of 64 bits a row that DuckDB makes; equal hashes mean equal inputs, and runs compare where they were made with the same version of DuckDB (libraries). NULL where it saw none';
