"""The end of a run: settled forecasts, status rows, one transaction, the publication, and what is
said of it.
"""
