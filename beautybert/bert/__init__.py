"""What any BERT needs: the model, its weights in files, its tokenizer. Knows neither task."""
