"""Benchmarks: a list of recipes trained and evaluated alike, and one table of them."""
