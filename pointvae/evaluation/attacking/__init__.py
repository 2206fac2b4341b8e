"""Attacks on a frozen encoder, piece by piece: what is tried, what came of it, and whether it works."""
