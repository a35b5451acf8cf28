"""What the documentation gives figures for, measured. ``python -m benchmarks.NAME`` each."""
