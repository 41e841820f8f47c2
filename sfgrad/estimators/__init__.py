"""Estimators: one small file per family behind the protocol in `base`."""
