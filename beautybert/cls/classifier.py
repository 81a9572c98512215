"""A finished classifier: the folder of a train_cls.py run, and what it answers.

It is a BERT with a head, a linear model over the words of each input, and the pool that makes one
answer of them. What trains it is in finetuning.py and train_cls.py.

Letters: P products, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertForSequenceClassification
from beautybert.cls import metadata, word_model
from beautybert.cls import pool as pools
from beautybert.cls.batches import ClsBatches, encode_documents, pack_documents
from beautybert.cls.documents import Document, given, read, read_raw, why_not
from beautybert.cls.labels import family_of, synonyms
from beautybert.cls.pool import Pool
from beautybert.cls.products import INPUTS
from beautybert.cls.word_model import WordModel
from beautybert.cls.words import tables_fingerprint
from beautybert.training import progress

BATCH = 32  # documents of one forward pass
PRIORS = ("data", "balanced")
# Share of a document's words that must be known, and the share of validation documents that may
# have fewer: with more, as in a language without spaces, words do not tell what is known.
LEAST_KNOWN = 1 / 3
MOST_UNKNOWN = 0.02
UNKNOWN_TOKEN = "[UNK]"
HALF = 0.5  # probability of a family, or of a label by a name of words that training has not


@dataclass(frozen=True)
class Answer:
    """What a classifier says of a product.

    labels, probabilities: the top ones, most probable first; none if `reason` says why there is no
    answer. inputs: the documents that it is from. is_family: whether the labels are families.
    """

    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    inputs: tuple[str, ...] = ()
    reason: str = ""
    is_family: bool = False


@dataclass(frozen=True)
class Classifier:
    """A model with all that is needed to use it.

    labels: in id order. word_models: of each input. max_length: tokens of a document, [CLS] and
    [SEP] included. vetted: the inputs of which a document of unknown words does not count.
    families: label -> family, for those that the label table knows. synonyms: in lower case, other
    labels -> the label that the table merges them into. same_reader: whether lists are read by the
    tables that it was trained with. is_ours: whether train_cls.py has made it; one of transformers
    reads names and lists as they are (documents.read_raw). source: its folder, for messages.
    encoder_pool: the pool of the encoder alone, for exports without word models; older runs have
    none.
    """

    model: BertForSequenceClassification
    tokenizer: Tokenizer
    labels: list[str]
    pool: Pool
    word_models: Mapping[str, WordModel]
    inputs: tuple[str, ...]
    max_length: int
    vetted: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    same_reader: bool = True
    is_ours: bool = True
    source: str = "the classifier"
    encoder_pool: Pool | None = None

    @classmethod
    def unfinished(
        cls,
        model: BertForSequenceClassification,
        data: ClsBatches,
        scheme: str,
        label_table: str | None,
    ) -> Classifier:
        """A model in training: the pool is the sum of the encoder's logits.

        scheme: of --labels. A label table that knows less than half of the labels knows them by
        chance, and "full" merges none.
        """
        families = family_of(data.labels, label_table)
        families = {label: family for label, family in families.items() if family}
        if 2 * len(families) < len(data.labels):
            families = {}
        return cls(
            model=model,
            tokenizer=data.tokenizer,
            labels=data.labels,
            pool=Pool.unfitted(data.log_prior),
            word_models={},
            inputs=tuple(data.inputs),
            max_length=data.max_length,
            families=families,
            synonyms={} if scheme == "full" else synonyms(data.labels, label_table),
        )

    def with_pool(self, data: ClsBatches, document_logits: Mapping[str, Tensor]) -> Classifier:
        """The same with word models fitted on training, and both pools fitted on validation.

        document_logits: the encoder's for the validation products, by input, (P, C).
        """
        word_models = word_model.fit_each(
            data.texts("train"), data.target_ids("train"), data.labels
        )
        texts = data.texts("valid")
        logits = {**document_logits, **word_model.logits(word_models, texts)}
        has = given(texts)
        targets, log_prior = data.target_ids("valid"), self.pool.log_prior
        pool = pools.fit(logits, has, targets, log_prior)
        encoder_pool = pools.fit(document_logits, has, targets, log_prior)
        vetted = []
        for part, has_part, model in zip(INPUTS, has, map(word_models.get, INPUTS), strict=True):
            shares = [model.known_share(text) for text in texts[part] if text] if model else []
            num_unknown = sum(share < LEAST_KNOWN for share in shares)
            if num_unknown <= MOST_UNKNOWN * int(has_part.sum()):
                vetted.append(part)
        return replace(
            self,
            word_models=word_models,
            pool=pool,
            encoder_pool=encoder_pool,
            vetted=tuple(vetted),
        )

    # ---- in and out ----------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Classifier:
        """The classifier of a train_cls.py run, or one that transformers has made.

        ValueError for a folder without one, and for one of another version of this project.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        if (folder / "checkpoints").is_dir() and not (folder / "model.safetensors").is_file():
            raise ValueError(f"{folder} is a run that is not finished; continue it with --resume")
        found = metadata.read(folder)
        pretrained.check_shapes(folder, found.config)
        weights, _ = pretrained.canonical_weights(folder)
        num_labels = len(found.labels)
        metadata.check_outputs(folder, num_labels, weights)
        model = BertForSequenceClassification(found.config, num_labels, found.head)
        put_weights(model, weights, folder)
        return cls(
            model=model.eval().to(device),
            tokenizer=wordpiece.read(folder),
            labels=found.labels,
            pool=found.pool,
            word_models=word_model.read(folder, num_labels) if found.is_ours else {},
            inputs=found.inputs,
            max_length=found.max_length,
            vetted=found.vetted,
            families=found.families,
            synonyms=found.synonyms,
            same_reader=found.reader_tables in ("", tables_fingerprint()),
            is_ours=found.is_ours,
            source=str(folder),
            encoder_pool=found.encoder_pool,
        )

    def save(self, folder: Path) -> None:
        """Write all but the tokenizer so that `load` opens it.

        config.json says beyond its encoder what it classifies. `architectures` is what transformers
        makes of the folder: with another head than the pooler, the encoder alone.
        """
        is_pooler = self.model.head == "pooler"
        fields = {
            "architectures": [type(self.model).__name__ if is_pooler else "BertModel"],
            "id2label": {str(i): label for i, label in enumerate(self.labels)},
            "label2id": {label: i for i, label in enumerate(self.labels)},
            "problem_type": "single_label_classification",
            "head": self.model.head,
            "inputs": list(self.inputs),
            "vetted_inputs": list(self.vetted),
            "pool": self.pool.to_dict(),
            "encoder_pool": self.encoder_pool.to_dict() if self.encoder_pool else None,
            "families": dict(self.families),
            "label_synonyms": dict(self.synonyms),
            "max_document_length": self.max_length,  # "max_length" is a generation setting
            "reader_tables": tables_fingerprint(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        word_model.write(folder, self.word_models)  # before the pool that has terms for them
        pretrained.save(folder, self.model, fields)

    # ---- answers -------------------------------------------------------------------------------

    def predict(
        self,
        ingredients: Sequence[object] | None = None,
        names: Sequence[object] | None = None,
        *,
        top_k: int = 1,
        min_probability: float = 0.0,
        prior: str = "data",
        family: bool = False,
    ) -> list[Answer]:
        """What kind of product each is, from raw ingredient cells, names, or both.

        Either may be missing, and so may any of its cells ('' or None). min_probability: below it
        there is no answer, or with `family` (then 0.5, if it is 0) the family of labels, if that is
        at least so probable. prior: "data" for about the label frequencies of training, "balanced"
        as if all were equally frequent. ValueError for no input, inputs of different lengths, a
        prior or number out of range, and `family` of a model that knows none.
        """
        if prior not in PRIORS:
            raise ValueError(f"prior is one of {', '.join(PRIORS)}, not {prior!r}")
        if top_k < 1 or not 0 <= min_probability <= 1:
            raise ValueError("top_k is at least 1, min_probability between 0 and 1")
        if family and not self.families:
            raise ValueError("the model knows no families: labels.csv has none of its labels")
        if family and not min_probability:
            min_probability = HALF
        cells_of = {"name": names, "ingredients": ingredients}
        columns = {part: cells for part, cells in cells_of.items() if cells is not None}
        sizes = {len(cells) for cells in columns.values()}
        if len(sizes) != 1:
            raise ValueError("give ingredients, names, or as many of the one as of the other")
        if isinstance(names, str) or isinstance(ingredients, str):
            raise ValueError("ingredients and names are lists of cells, not one text")
        documents = {
            part: [self._read(part, cell) for cell in cells] for part, cells in columns.items()
        }
        documents = {part: found for part, found in documents.items() if part in self.inputs}
        texts = self._texts(documents, sizes.pop())
        probabilities, has = self.probabilities(texts, balanced=prior == "balanced")
        answers = []
        for i, row in enumerate(probabilities):
            inputs = tuple(part for part, found in zip(INPUTS, has[:, i], strict=True) if found)
            reason = why_not(documents, inputs, i)
            if not inputs:
                answers.append(Answer(reason=reason))
                continue
            answer = replace(self._top(row, self.labels, top_k), inputs=inputs, reason=reason)
            if answer.probabilities[0] < min_probability:
                answer = self._unsure(answer, row, top_k, min_probability, family)
            answers.append(answer)
        return answers

    def probabilities(
        self, texts: Mapping[str, Sequence[str]], balanced: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Calibrated probabilities (P, C) of read texts, by input; '' where one is missing.

        Also which documents they are from, (INPUTS, P), as `readable` says. A product without any
        has even probabilities.
        """
        logits = self.document_logits(texts) | word_model.logits(self.word_models, texts)
        has = self.readable(texts, logits)
        pooled = self.pool(logits, has, balanced)
        if not pooled.isfinite().all():
            raise ValueError(
                f"{self.source}: the weights of the model are too large, so there is no answer; "
                "train it again"
            )
        return pooled.softmax(-1), has

    def readable(self, texts: Mapping[str, Sequence[str]], logits: Mapping[str, Tensor]) -> Tensor:
        """Which documents count, (INPUTS, P): those of known words.

        A word is known if it is in two training texts or more. Words of a name may also be known to
        the encoder from before, as one token or two; such a name counts if it makes a label likely
        (`HALF`). Inputs that are not `vetted` always count. logits: the terms of the pool, (P, C).
        """
        has = given(texts)
        for index, part in enumerate(INPUTS):
            model = self.word_models.get(part)
            if part not in self.vetted or not model:
                continue
            alone = torch.zeros_like(has)
            alone[index] = has[index]
            is_likely = self.pool(logits, alone).softmax(-1).amax(-1) >= HALF
            for i, text in enumerate(texts[part]):
                is_known = model.known_share(text) >= LEAST_KNOWN
                if not is_known and part == "name" and is_likely[i]:
                    is_known = model.known_share(text, self._is_token) >= LEAST_KNOWN
                has[index, i] &= is_known
        return has

    def _is_token(self, word: str) -> bool:
        """Whether a word is one or two tokens of the vocabulary."""
        tokens = self.tokenizer.encode(word, add_special_tokens=False).tokens
        return 1 <= len(tokens) <= 2 and UNKNOWN_TOKEN not in tokens

    @torch.no_grad()
    def document_logits(self, texts: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
        """The encoder's logits of each input, (P, C) float64, 0 for products without it.

        Which documents share a batch changes nothing but rounding. Equal ones are encoded once.
        """
        device = next(self.model.parameters()).device
        logits = {}
        for part in INPUTS:
            logits[part] = torch.zeros(len(texts[part]), len(self.labels), dtype=torch.float64)
            rows_of: dict[str, list[int]] = {}
            for row, text in enumerate(texts[part]):
                if text:
                    rows_of.setdefault(text, []).append(row)
            rows = list(rows_of.values())
            documents, _ = encode_documents(list(rows_of), self.tokenizer, self.max_length)
            by_length = sorted(range(len(rows)), key=lambda n: len(documents[n]))
            starts = range(0, len(by_length), BATCH)
            for start in progress.bar(starts, f"{part}: documents", unit="batch"):
                batch = by_length[start : start + BATCH]
                packed = pack_documents([documents[n] for n in batch]).to(device)
                found = self.model(*packed).double().cpu()
                for n, row_logits in zip(batch, found, strict=True):
                    logits[part][rows[n]] = row_logits
        return logits

    def explain(
        self, ingredients: object = None, name: object = None, prior: str = "data"
    ) -> list[tuple[str, str, float]]:
        """(input, unit, drop of the top label's probability without it), the largest drop first.

        Each ingredient and each word of the name is left out in turn (occlusion; Li, Monroe &
        Jurafsky 2016, arXiv:1612.08220). Nothing for a product without an answer.
        """
        cells = {"name": name, "ingredients": ingredients}
        documents = {p: self._read(p, cells[p] if p in self.inputs else None) for p in INPUTS}
        texts: dict[str, list[str]] = {part: [d.text] for part, d in documents.items()}
        units = []
        for part, document in documents.items():
            joint = " " if part == "name" or not self.is_ours else ", "
            for i, unit in enumerate(document.units):
                units.append((part, unit))
                rest = document.units[:i] + document.units[i + 1 :]
                for other in texts:
                    is_shortened = other == part
                    texts[other].append(joint.join(rest) if is_shortened else texts[other][0])
        probabilities, has = self.probabilities(texts, balanced=prior == "balanced")
        if not has[:, 0].any():
            return []
        top = int(probabilities[0].argmax())
        drops = (probabilities[0, top] - probabilities[1:, top]).tolist()
        explained = [(*unit, drop) for unit, drop in zip(units, drops, strict=True)]
        return sorted(explained, key=lambda item: -item[2])

    def num_units(self, ingredients: object = None, name: object = None) -> int:
        """How many ingredients and words `explain` would leave out."""
        cells = {"name": name, "ingredients": ingredients}
        return sum(len(self._read(part, cells[part]).units) for part in self.inputs)

    def _read(self, part: str, cell: object) -> Document:
        """A raw cell of one of `INPUTS`."""
        return read(part, cell) if self.is_ours else read_raw(part, cell)

    def _texts(
        self, documents: Mapping[str, Sequence[Document]], num_products: int
    ) -> dict[str, list[str]]:
        """The texts of each input, '' where one is missing."""
        missing = [Document()] * num_products
        return {part: [d.text for d in documents.get(part, missing)] for part in INPUTS}

    def _top(self, probabilities: Tensor, labels: Sequence[str], top_k: int) -> Answer:
        """The most probable labels of one product, (C,)."""
        order = probabilities.argsort(descending=True, stable=True)[:top_k].tolist()
        values = [float(probabilities[i]) for i in order]
        return Answer(tuple(labels[i] for i in order), tuple(values))

    def _unsure(
        self, answer: Answer, row: Tensor, top_k: int, min_probability: float, family: bool
    ) -> Answer:
        """What is left of an answer that is not probable enough."""
        reason = f"probability below {min_probability:g}"
        if family:
            names = sorted(set(self.families.values()))
            index_of = {name: n for n, name in enumerate(names)}
            known = [i for i, label in enumerate(self.labels) if label in self.families]
            targets = torch.tensor([index_of[self.families[self.labels[i]]] for i in known])
            sums = torch.zeros(len(names), dtype=row.dtype).index_add(0, targets, row[known])
            if sums.max() >= min_probability:
                found = self._top(sums, names, top_k)
                return replace(found, inputs=answer.inputs, reason=reason, is_family=True)
        return Answer(inputs=answer.inputs, reason=reason)


# ---- the folder --------------------------------------------------------------------------------


def load_exported(model: BertForSequenceClassification, folder: Path) -> None:
    """Put the weights of model.safetensors into the model. ValueError if they do not fit."""
    put_weights(model, pretrained.canonical_weights(folder)[0], folder)


def put_weights(
    model: BertForSequenceClassification, weights: dict[str, Tensor], folder: Path
) -> None:
    """Put canonical weights into the model.

    ValueError that names their folder if they do not fit or are not finite.
    """
    try:
        pretrained.load_weights(model, weights)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(f"{folder}: {name} has numbers that are not finite; train it again")
