"""Baselines that see more of a node than its cost to go."""
