"""Probes of frozen features, piece by piece: protocols as data, and what they fit, out of reach of test."""
