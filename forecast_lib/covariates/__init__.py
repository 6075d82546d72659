"""What else was known at an evening: named series and events, joined to sessions by what was known there."""
