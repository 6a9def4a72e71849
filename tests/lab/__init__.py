"""Packet-level networks for the tests: namespaces, real servers, and a box in between that interferes."""
