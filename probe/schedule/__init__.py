"""Measuring regularly: what the platform's own timer calls every hour, and whether it is due. docs/schedule.md."""
