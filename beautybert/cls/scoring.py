"""How good the answers to a labelled table are, row by row, for `predict`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from beautybert.cls.classifier import Answer, Classifier
from beautybert.cls.documents import read
from beautybert.cls.names import clean_label, name_key, printed_list
from beautybert.cls.pool import CASE_OF, CASES
from beautybert.cls.splits import text_keys


class Score:
    """How a table went: rows, answers, and with labels how many of them are right.

    Its size does not depend on the number of rows. Rows with a label are counted by the documents
    that their answer is from; the last column of the confusion is for rows without an answer.
    """

    def __init__(self, classifier: Classifier, folder: Path):
        self.classifier = classifier
        self.folder = folder
        self.num_trained = self.num_unlabelled = 0
        num_labels = len(classifier.labels)
        self.num_rows = self.num_short = 0
        self.reasons: Counter = Counter()
        self.unknown: Counter = Counter()  # labels that the model cannot answer with
        self.families: Counter = Counter()  # whether a family in the place of a label is right
        self.in_top3: Counter = Counter()  # by case
        self.confusion = {
            case: torch.zeros(num_labels, num_labels + 1, dtype=torch.long)
            for case in (*CASES, "nothing")
        }
        self.id_of = _label_ids(classifier)

    @cached_property
    def trained_keys(self) -> set[str]:
        """The keys of the training texts, read when the first labelled row wants them."""
        return text_keys(self.folder / "train_lists.txt")

    def count(
        self, answer: Answer, reason: str, label: str | None, cells: Mapping[str, str]
    ) -> None:
        """One row; label: what its column says, None without one; cells: by input."""
        self.num_rows += 1
        if not answer.labels:
            self.reasons[reason] += 1
        if label is None:
            return
        label = clean_label(printed_list(label))
        if not label:
            self.num_unlabelled += 1
            return
        target = self.id_of.get(label, self.id_of.get(label.casefold()))
        if target is None:
            self.unknown[label] += 1
            return
        keys = {name_key(read(part, cell).text) for part, cell in cells.items()} - {""}
        self.num_trained += not keys.isdisjoint(self.trained_keys)
        labels = self.classifier.labels
        answers = answer.labels
        if answer.is_family:
            self.families[self.classifier.families.get(labels[target]) == answers[0]] += 1
            answers = ()
        case = CASE_OF.get(answer.inputs, "nothing")
        predicted = labels.index(answers[0]) if answers else len(labels)
        self.confusion[case][target, predicted] += 1
        self.in_top3[case] += labels[target] in answers[:3]

    def text(self, has_labels: bool) -> str:
        """How it went, for people."""
        num_unanswered = self.reasons.total()
        lines = [f"{self.num_rows:,} rows, {num_unanswered:,} of them without an answer"]
        if self.num_short:
            lines.append(f"  {self.num_short:,} rows have fewer cells than the header")
        for reason, n in self.reasons.most_common(10):
            lines.append(f"  {n:,} {reason}")
        if not has_labels:
            return "\n".join(lines)
        if self.unknown:
            labels = ", ".join(f"{label!r} ({n})" for label, n in self.unknown.most_common(10))
            lines.append(f"  labels that the model does not know, not scored: {labels}")
        if self.num_unlabelled:
            lines.append(f"  {self.num_unlabelled:,} rows without a label, not scored")
        if self.num_trained:
            lines.append(
                f"  {self.num_trained:,} of those scored share a name or list with what the model "
                "was trained on: the scores promise too much for other products"
            )
        if self.families:
            lines.append(
                f"  {self.families.total():,} answered by family, {self.families[True]:,} of them "
                "right; below they count as not answered"
            )
        total = sum(self.confusion.values(), torch.zeros_like(self.confusion["both"]))
        for case, counts in {"all": total, **self.confusion}.items():
            num_top3 = self.in_top3.total() if case == "all" else self.in_top3[case]
            if counts.any() and (case == "all" or counts.sum() < total.sum()):
                lines.append(f"  {case}: {_scores_text(counts, num_top3)}")
        return "\n".join(lines)


def _scores_text(confusion: Tensor, num_top3: int) -> str:
    """Counts (C, C + 1), a row a label and the last column no answer -> scores, for people."""
    num_rows = int(confusion.sum())
    support, given = confusion.sum(1).double(), confusion[:, :-1].sum(0).double()
    correct = confusion.diagonal().double()
    occurs = (support + given) > 0
    macro_f1 = (2 * correct / (support + given).clamp(min=1))[occurs].mean()
    return (
        f"{num_rows:,} rows, accuracy {correct.sum() / num_rows:.1%}, top 3 "
        f"{num_top3 / num_rows:.1%}, macro-F1 {macro_f1:.3f} over "
        f"{int(occurs.sum())} labels"
    )


def _label_ids(classifier: Classifier) -> dict[str, int]:
    """The class of a label in a table, as it is, in lower case, or as the label table merges it."""
    index_of = {label: i for i, label in enumerate(classifier.labels)}
    merged = classifier.synonyms.items()
    ids = {label: index_of[name] for label, name in merged if name in index_of}
    ids |= {label.casefold(): i for label, i in index_of.items()}
    return ids | index_of
