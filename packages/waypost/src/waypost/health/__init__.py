"""Checks the health of tasks, in a process of its own: probes, thresholds, and the lines it shares with its parent."""
