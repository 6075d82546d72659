"""When exchanges trade: which days, and when each of them ends."""

from forecast_lib.schedules.kept import schedule
from forecast_lib.schedules.schedule import WEEKDAYS, Schedule, Times

__all__ = ["WEEKDAYS", "Schedule", "Times", "schedule"]
