-- Changes of unit by their name. What an inferred one was stored as until here, a split, multiplied volumes too, though no share was split.

UPDATE corporate_actions
SET kind = 'unit'
WHERE kind = 'split' AND source = 'inferred' AND EXISTS (
    FROM price_verdicts AS v
    WHERE v.ticker = corporate_actions.ticker AND v.session = corporate_actions.session
        AND v.verdict = 'unit' AND (v.evidence ->> '$.ratio')::DOUBLE <> 1
);

COMMENT ON COLUMN corporate_actions.kind IS 'dividend, split, or unit: from that session on the source quotes prices in another one, such as pence for pounds';
COMMENT ON COLUMN corporate_actions.value IS 'Dividend: cash per share in the ticker''s currency, on that day''s share basis. Split: new shares for one old share. Unit: what prices before are divided by to go with those after it, 0.01 for pence after pounds; volumes stay';
COMMENT ON COLUMN corporate_actions.source IS 'Where the action came from: yahoo, files or simulated; inferred for a split that the prices show and no source lists, and for a change of unit';
COMMENT ON COLUMN price_verdicts.verdict IS 'real: the ticker goes on; split: one that the source does not list, inferred; unit: another currency unit, which stays where rows of evidence is empty; bad_print: a wrong price; undecided: what follows will tell, within three sessions';
