"""Verification on the user's own model: the exact gradient, and the test for bias."""
