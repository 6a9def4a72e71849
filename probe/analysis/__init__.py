"""From many runs to one comparison: rows, what differs between networks and times, and OONI's formats."""
