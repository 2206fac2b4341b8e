"""Neighbours, distances and sampling: pure functions on clouds, chunked, with no compiled code."""
