"""What any training loop needs: options, ranks, precision, optimizer, checkpoints, logs.

Knows no task, but for what is measured and drawn of each (metrics.py, plots.py).
"""
