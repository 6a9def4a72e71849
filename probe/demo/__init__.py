"""Whole networks on loopback, good and bad, for people without internet and for the tests."""
