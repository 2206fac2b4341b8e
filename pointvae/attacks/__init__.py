"""Attacks on a frozen encoder: small moves of a cloud's points that change its code the most."""
