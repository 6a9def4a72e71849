"""A volunteer's day from the wheel to the collector, in a network of its own: typed, seen, and searched for traces."""
