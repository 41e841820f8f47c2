"""Speed and memory, as ratios within one run: these are figures of a machine, not tests."""
