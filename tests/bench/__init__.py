"""Benchmarks: each is a command that runs the alternative beside ours and prints the ratio. None is part of
the test run.
"""
