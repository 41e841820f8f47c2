"""Pong from pixels."""
