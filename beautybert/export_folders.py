"""Model folders for other libraries: transformers' classifier, sentence-transformers' encoder.

A run folder opens in transformers as it is, with the encoder, the MLM head or, of `--head pooler`,
the classifier before calibration. What is written here is what more can be had.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from tokenizers import Tokenizer

from beautybert import files
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertForSequenceClassification, BertModel
from beautybert.cls.classifier import Classifier
from beautybert.cls.pool import PRIOR

TRANSFORMERS_CARD = """\
---
library_name: transformers
pipeline_tag: text-classification
---

# What kind of product a cosmetic is, by its {document} alone

Made by `python -m beautybert.export` from a classifier of beautybert: the encoder and its head,
with the calibration for a {document} alone multiplied into the last layer. The probabilities are
calibrated, but are not those of `python -m beautybert.predict`: that one adds linear models over
words, and of a product with a name and a list it reads both.

    from transformers import pipeline
    classify = pipeline("text-classification", {folder!r}, truncation=True, max_length={max_length})
    classify("{example}", top_k=3)

Texts are read as they are: headings, prices and markup of a raw cell are part of the text. Of a
text of more than {max_length} tokens the first are read; beautybert reads the last of it too.
"""
EXAMPLES = {"name": "Velvet Night Serum", "ingredients": "water, glycerin, retinol, ascorbic acid"}
DOCUMENTS = {"name": "name", "ingredients": "ingredient list"}

SENTENCES_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# Embeddings of cosmetic products

Made by `python -m beautybert.export`: the encoder of a run of beautybert. An embedding is the mean
of the last hidden states of a text's tokens, [CLS] and [SEP] with them. No training has asked that
similar texts have embeddings near each other.

    from sentence_transformers import SentenceTransformer
    embeddings = SentenceTransformer({folder!r}).encode(["a cream for dry skin"])
"""


def calibrated(classifier: Classifier, part: str) -> BertForSequenceClassification:
    """A copy of a pooler classifier whose logits of a document are those of its `encoder_pool`.

    part: which input the document is; each has weights of its own.
    """
    pool = classifier.encoder_pool
    assert pool is not None and classifier.model.head == "pooler"
    weights = pool.weights[part]
    model = copy.deepcopy(classifier.model).cpu()
    with torch.no_grad():
        model.classifier.weight *= weights[part]
        model.classifier.bias *= weights[part]
        model.classifier.bias += weights[PRIOR] * pool.log_prior
    return model


def write_transformers(folder: Path, classifier: Classifier, part: str) -> None:
    """Write a folder that AutoModelForSequenceClassification and AutoTokenizer open.

    part: the input that it is for.
    """
    model = calibrated(classifier, part)
    metadata = {
        "id2label": {str(i): label for i, label in enumerate(classifier.labels)},
        "label2id": {label: i for i, label in enumerate(classifier.labels)},
        "problem_type": "single_label_classification",
        "max_document_length": classifier.max_length,
    }
    wordpiece.write(classifier.tokenizer, folder, classifier.max_length)
    pretrained.save(folder, model, metadata)
    card = TRANSFORMERS_CARD.format(
        document=DOCUMENTS[part],
        folder=str(folder),
        max_length=classifier.max_length,
        example=EXAMPLES[part],
    )
    files.write_text(folder / "README.md", card)


def write_sentence_transformers(
    folder: Path, bert: BertModel, tokenizer: Tokenizer, max_length: int
) -> None:
    """Write a folder that SentenceTransformer opens: the encoder and a mean over its tokens."""
    wordpiece.write(tokenizer, folder, max_length)
    pretrained.save(folder, bert)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": bert.config.hidden_size,
        "pooling_mode_mean_tokens": True,
    }
    files.write_json(folder / "1_Pooling" / "config.json", pooling)
    transformer = {"max_seq_length": max_length, "do_lower_case": False}
    files.write_json(folder / "sentence_bert_config.json", transformer)
    files.write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    files.write_json(folder / "modules.json", modules)
    files.write_text(folder / "README.md", SENTENCES_CARD.format(folder=str(folder)))
