"""What stays up between runs: deployments and their schedules, the watch over silent runs, notices, the
served reports.
"""
