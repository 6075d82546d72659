"""Rules that no row breaks by itself: what a source could not read, what the evidence says of a move, what is
odd about a whole ticker.
"""

from forecast_lib.prices.rules.rule import DROP, DROP_OR_HOLD, HOLD, HOLD_OR_WARN, Rule

__all__ = ["JUDGED", "READING", "WHOLE"]

READING = (
    Rule(
        "ragged_row",
        "drop_row",
        DROP_OR_HOLD,
        "a line of a file with more or fewer cells than its header, or with a stray quote",
    ),
    Rule("unreadable_date", "drop_row", DROP_OR_HOLD, "a date that is no day"),
    Rule("unreadable_number", "drop_row", DROP_OR_HOLD, "a cell that is no number"),
    Rule("unreadable_currency", "drop_row", DROP_OR_HOLD, "a currency that is no code of three letters"),
)
JUDGED = (
    Rule("refused_by_person", "drop_row", DROP, "a person refused the row"),
    Rule(
        "bad_print",
        "drop_row",
        DROP,
        "a close far from those around it, which the next sessions or the bar itself take back",
    ),
    Rule("unit", "drop_row", DROP, "prices in another unit, such as pence for pounds"),
    Rule(
        "undecided",
        "drop_row",
        DROP,
        "a move that may be real or not: the next sessions decide, three at most",
    ),
)
WHOLE = (
    Rule("bad_action", "drop_row", DROP_OR_HOLD, "a dividend or split with no possible value, or several values for one session"),
    Rule("dividend_above_price", "drop_row", DROP_OR_HOLD, "a dividend that is not smaller than the close before it"),
    Rule(
        "assumed_split_basis", "warn", ("warn", "hold_ticker"),
        "a file with splits too small to tell whether its prices are divided by them already: taken as its column is usually meant",
    ),
    Rule(
        "split_basis", "warn", ("warn", "hold_ticker"),
        "closes around the splits that fit neither traded nor split-adjusted prices: only the rows since the last split are used",
    ),
    Rule("currency_changed", "hold_ticker", HOLD, "the source quotes another currency than before"),
    Rule("rescaled", "hold_ticker", HOLD_OR_WARN, "the stored past comes with all prices times a factor that no split or unit explains"),
    Rule("no_rows", "hold_ticker", HOLD, "not one usable row came"),
    Rule("too_many_refused", "hold_ticker", HOLD_OR_WARN, "more than half of the last 20 rows refused"),
)  # fmt: skip
