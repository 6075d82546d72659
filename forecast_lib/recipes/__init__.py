"""The named walkthrough recipes, run to the last quirk, and beside each the honest answer to the same
question.
"""
