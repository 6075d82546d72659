"""What the words of the pages mean, for somebody who never read about forecasts."""

from dataclasses import dataclass

__all__ = ["GLOSSARY", "Term"]


@dataclass(frozen=True)
class Term:
    """One word and its meaning in a few sentences."""

    name: str
    text: str


GLOSSARY: dict[str, Term] = {
    "session": Term(
        "session", "A day on which the ticker's exchange trades. Weekends and holidays are not counted."
    ),
    "step": Term("step", "How many sessions ahead a forecast looks: step 1 is the next session."),
    "cutoff": Term(
        "cutoff", "The last session that a forecast knows. It uses nothing that became known later."
    ),
    "distribution": Term(
        "distribution",
        "A forecast here is not one number but how likely each price is. What you see of it are ranges:"
        " the next close should fall into the 80 % range four times in five, and into the 95 % range"
        " nineteen times in twenty.",
    ),
    "range": Term(
        "80 % range, 95 % range",
        "The prices between which the close should lie four times in five, or nineteen times in twenty."
        " A range that always held would be too wide: one that is well made misses as often as it says.",
    ),
    "point": Term(
        "point forecast",
        "The single most reasonable price. For daily closes it is usually close to the last close:"
        " which way a price will go can hardly be known. What can be known is how far it may go.",
    ),
    "ex_dividend": Term(
        "ex-dividend day",
        "From this session on a share is sold without its next dividend, and opens lower by about as much."
        " Where that was announced, by a list of events, forecasts stand lower by it from that day on."
        " Whoever holds the share has the cash instead: risk of holdings counts it.",
    ),
    "split": Term(
        "split",
        "One share becomes several, or several become one, each worth less or more to match. A forecast is"
        " for one share of its cutoff and is settled for one, whatever it has become by then.",
    ),
    "naive": Term(
        "naive",
        "“The price stays as it is.” Any forecast of the price has to be compared with it, and few do"
        " better.",
    ),
    "drift": Term(
        "drift", "“The price goes on as it did on average.” Another simple forecast to be compared with."
    ),
    "garch": Term(
        "GARCH",
        "The usual statistical model of risk: calm days follow calm days, wild days follow wild ones."
        " Here GARCH(1,1) with Student-t innovations, the measure for our own ranges.",
    ),
    "baseline": Term(
        "baseline",
        "A simple, well-known way to forecast: naive, drift, the session before (ar1), GARCH, a regression on"
        " ranges (har), smoothing (ewma, ets) and the past as it was (empirical). Each is scored beside the"
        " networks.",
    ),
    "combination": Term(
        "combination",
        "Several forecasts mixed into one, each with a weight that follows from what it was worth"
        " lately. No single model is the best always.",
    ),
    "driver": Term(
        "driver",
        "One reason why a range is as wide as it is: what the last session did, the last week, falls, the"
        " weekday, what the whole market does, what came true lately. Each makes the range wider or"
        " narrower by some per cent, and all of them together make exactly its width.",
    ),
    "backtest": Term(
        "backtest",
        "The past, replayed: at each of many earlier evenings a forecast is made from what was known"
        " then, and compared with what came. Models that are tested have not been fitted to the days"
        " they are tested on.",
    ),
    "record": Term(
        "record",
        "Forecasts that were really published, and what came. It is younger and smaller than a backtest, but"
        " nothing about it is a replay.",
    ),
    "settled": Term(
        "settled",
        "A forecast is settled when its target session has closed, so that it is known whether it held.",
    ),
    "coverage": Term(
        "coverage", "The share of closes that came inside a range. For a good 80 % range it is near 80 %."
    ),
    "pinball": Term(
        "pinball loss",
        "How far a whole distribution was from what came, in one number: it punishes ranges that are"
        " missed and ranges that are wider than they need be. Lower is better. Divided by GARCH's, below"
        " 1 is better than GARCH.",
    ),
    "winkler": Term(
        "Winkler score",
        "The width of the 95 % range, plus a penalty for each close outside it, larger the further out. Lower"
        " is better.",
    ),
    "qlike": Term(
        "QLIKE", "How far the forecast variance was from what prices did that day. Lower is better."
    ),
    "rmse": Term(
        "RMSE ratio",
        "How far the point forecast was off, divided by how far “the price stays” was off, on the same"
        " days. Below 1 is better; 1.0000 is the usual result, and an honest one.",
    ),
    "dm": Term(
        "Diebold–Mariano test",
        "Whether a difference between two forecasts is more than luck. p is the chance of a difference"
        " this large if they were equally good; below 0.05 we say “surely”. With a hundred tickers about"
        " five look sure by luck alone.",
    ),
    "mcs": Term(
        "MCS p",
        "From the model confidence set: a model with p below 0.1 is surely not the best of those compared.",
    ),
    "status-fresh": Term(
        "fresh",
        "Tonight's forecast was made from tonight's prices, by what the evidence says is best for the"
        " ticker.",
    ),
    "status-last_good": Term(
        "last good",
        "The newest prices are missing or not trusted, so the forecast starts from the last session"
        " that is; or an older model answers, because training failed.",
    ),
    "status-naive": Term(
        "baselines only",
        "Only baselines answer: there is too little history for a network, or none could be trained.",
    ),
    "status-ended": Term(
        "ended",
        "The source has had no price for twenty sessions, or no longer knows the ticker: nothing to"
        " forecast.",
    ),
    "status-none": Term("no forecast", "Fewer than ten usable sessions are known."),
    "quarantine": Term(
        "refused row",
        "A price that broke a rule. It is kept as it came, with the reason, and used for nothing.",
    ),
    "decision": Term(
        "decision",
        "What was done with a ticker's model tonight: trained anew (retrain), trained a little further"
        " (fine-tune), or kept (skip).",
    ),
}
"""By the name of its place on the page, in the order in which they are read."""
