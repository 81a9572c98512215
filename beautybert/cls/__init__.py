"""What train_cls.py and predict need beyond a BERT and a loop: lists, labels, splits, batches,
reports.
"""
