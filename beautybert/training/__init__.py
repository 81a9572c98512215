"""What any training loop needs: options, ranks, precision, optimizer, checkpoints, logs.

Knows no task.
"""
