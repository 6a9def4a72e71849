"""From many runs to what may be said of networks: rows, statistics, comparison."""
