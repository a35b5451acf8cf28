"""The dispatching service: rings for what has become due, and takes up what was dropped."""
