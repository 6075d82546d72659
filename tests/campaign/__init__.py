"""A campaign of trials by force, for as long as it is given: `python -m tests.campaign [--minutes N] [--seed
S] [--only KIND ...]`.

Each trial does something bad to a workspace, looks whether the promises hold, and lets the next night
recover. A trial is made of its
seed alone, printed with every violation: `python -m tests.campaign --replay KIND SEED` does it again.
"""
