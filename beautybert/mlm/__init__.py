"""What train_mlm.py needs beyond a BERT and a loop: texts, masking, batches, fill-mask prompts."""
