"""`probe demo`."""
