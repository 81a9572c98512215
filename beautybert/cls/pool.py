"""From the logits of a product's documents to one answer: a weighted sum, fitted on validation.

The terms of the sum are the encoder's logits of the name and of the list, those of a linear model
over the words of each (word_model.py), and the logarithm of the labels' shares in training. What
each is worth depends on which documents a product has, so each of the three `CASES` has its own
weights. Their scale is the temperature (Guo et al. 2017, arXiv:1706.04599): the softmax of the sum
is calibrated.

Letters: P products, C classes, K terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from beautybert import files
from beautybert.cls.products import INPUTS

CASES: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "ingredients": ("ingredients",),
    "both": ("name", "ingredients"),
}
CASE_OF = {parts: case for case, parts in CASES.items()}
PRIOR = "prior"
BALANCED = "balanced prior"  # its weight where all labels count as equally frequent
# What the weights of a case are drawn to; those of a case that validation has no product of, before
# `RARE_LABELS` is taken off. Near the mean of what was fitted on the real tables.
DEFAULTS = {
    "name": {"name": 0.8, "name words": 0.5, PRIOR: 0.0},
    "ingredients": {"ingredients": 0.5, "ingredients words": 0.6, PRIOR: 0.0},
    "both": {
        "name": 0.7,
        "name words": 0.4,
        "ingredients": 0.3,
        "ingredients words": 0.4,
        PRIOR: -0.3,
    },
}
# of the squared distance from `DEFAULTS`, in nats: hundreds of products outweigh it, ten do not
RIDGE = 2.0
# What is taken off the weight of the prior, so that rare labels are found (logit adjustment, Menon
# et al. 2021, arXiv:2007.07314). On validation products of the real tables accuracy rises with it;
# by the list alone it falls (docs/results.md).
RARE_LABELS = {"name": 0.3, "ingredients": 0.0, "both": 0.3}
LARGEST = 1e6  # weight or logarithm that is read, without regard to its sign


@dataclass(frozen=True)
class Pool:
    """What each term is worth.

    weights: case -> term -> weight. log_prior: (C,), logarithms of the labels' shares in training.
    """

    weights: Mapping[str, Mapping[str, float]]
    log_prior: Tensor

    @classmethod
    def unfitted(cls, log_prior: Tensor) -> Pool:
        """The sum of the encoder's logits alone."""
        weights = {case: {**dict.fromkeys(p, 1.0), BALANCED: -1.0} for case, p in CASES.items()}
        return cls(weights, log_prior)

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any] | None, num_labels: int, where: str = "the pool"
    ) -> Pool:
        """As `to_dict` gives it; None: the sum of the encoder's logits, without a prior.

        ValueError that begins with `where` for weights of other cases, terms or types than those,
        and for a prior of another number of labels.
        """
        if values is None:
            return cls.unfitted(torch.zeros(num_labels, dtype=torch.float64))
        limits = {"at_least": -LARGEST, "at_most": LARGEST}
        by_case = files.value_of(values, "weights", dict, where)
        for case, parts in CASES.items():
            terms = files.value_of(by_case, case, dict, f"{where}: weights")
            known = [*parts, *(f"{part} words" for part in parts), PRIOR, BALANCED]
            for term in (*parts, *terms):
                if term not in known:
                    raise ValueError(
                        f"{where}: weights of {case} have the term {files.shown(term)}, must have "
                        f"some of {', '.join(known)}"
                    )
                files.value_of(terms, term, float, f"{where}: weights of {case}", **limits)
        log_prior = files.value_of(values, "log_prior", list, where)
        if len(log_prior) != num_labels:
            raise ValueError(
                f"{where}: log_prior has {len(log_prior):,} numbers for the {num_labels:,} labels "
                "of id2label"
            )
        for i, share in enumerate(log_prior):
            files.value_of({f"log_prior {i}": share}, f"log_prior {i}", float, where, **limits)
        weights = {case: by_case[case] for case in CASES}
        return cls(weights, torch.tensor(log_prior, dtype=torch.float64))

    def to_dict(self) -> dict[str, Any]:
        """As config.json holds it."""
        weights = {case: dict(terms) for case, terms in self.weights.items()}
        return {"weights": weights, "log_prior": self.log_prior.tolist()}

    def __call__(self, logits: Mapping[str, Tensor], has: Tensor, balanced: bool = False) -> Tensor:
        """Calibrated logits (P, C) of products from their terms, each (P, C).

        has: (INPUTS, P), which documents a product has; the terms of others may be anything finite.
        A product without documents has zeros. balanced: as if all labels were equally frequent.
        """
        terms = list(logits)
        weights = torch.stack([_weights_of(self.weights, term, has) for term in terms])  # (K, P)
        stacked = torch.stack([logits[term].double() for term in terms])  # (K, P, C)
        pooled = torch.einsum("kp,kpc->pc", weights, stacked)
        prior_weights = _weights_of(self.weights, BALANCED if balanced else PRIOR, has)
        return pooled + prior_weights[:, None] * self.log_prior


def _weights_of(by_case: Mapping[str, Mapping[str, float]], term: str, has: Tensor) -> Tensor:
    """A term's weight for each product, (P,), by the documents that it has."""
    weights = torch.zeros(has.shape[1], dtype=torch.float64)
    for case, parts in CASES.items():
        is_case = torch.ones(has.shape[1], dtype=torch.bool)
        for part, has_part in zip(INPUTS, has, strict=True):
            is_case &= has_part == (part in parts)
        weights[is_case] = by_case[case].get(term, 0.0)
    return weights


def terms_of(case: str, terms: Sequence[str]) -> list[str]:
    """Those of the terms that a case has: the encoder's and the words' of its documents."""
    return [term for term in terms if term.removesuffix(" words") in CASES[case]]


def only(has: Tensor, case: str) -> tuple[Tensor, Tensor]:
    """Products judged by the documents of a case alone; "all": by those that they have.

    Returns which of them have all of these, (P,), and which documents are then looked at,
    (INPUTS, P).
    """
    if case == "all":
        return torch.ones(has.shape[1], dtype=torch.bool), has
    wanted = torch.tensor([part in CASES[case] for part in INPUTS])
    complete = (has | ~wanted[:, None]).all(0)
    return complete, has & wanted[:, None]


def fit(logits: Mapping[str, Tensor], has: Tensor, target_ids: Tensor, log_prior: Tensor) -> Pool:
    """The weights that make the loss of each case smallest on validation products, adjusted.

    logits: term -> (P, C). has: (INPUTS, P). target_ids: (P,). Every product that has the documents
    of a case counts for it, also if it has more. In the weights the loss is convex.
    """
    weights = {}
    for case in CASES:
        complete, _ = only(has, case)
        terms = terms_of(case, list(logits))
        stacked = [logits[term][complete].double() for term in terms]
        stacked.append(log_prior.expand(int(complete.sum()), -1))
        start = [DEFAULTS[case][term] for term in (*terms, PRIOR)]
        targets = target_ids[complete]
        fitted = _fit_weights(torch.stack(stacked), targets, start)
        fitted[-1] -= RARE_LABELS[case]
        pooled = torch.einsum("k,kpc->pc", fitted, torch.stack(stacked))
        scale = float(_fit_weights(pooled[None], targets, [1.0]))  # calibrated again
        fitted = fitted * scale
        weights[case] = dict(zip((*terms, PRIOR), fitted.tolist(), strict=True))
        weights[case][BALANCED] = weights[case][PRIOR] - (1 - scale * RARE_LABELS[case])
    return Pool(weights, log_prior)


def _fit_weights(stacked: Tensor, target_ids: Tensor, start: Sequence[float]) -> Tensor:
    """Weights (K,) of terms (K, P, C), drawn to `start`."""
    default = torch.tensor(start, dtype=torch.float64)
    weights = default.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        pooled = torch.einsum("k,kpc->pc", weights, stacked)
        loss = F.cross_entropy(pooled, target_ids, reduction="sum")
        loss = loss + RIDGE / 2 * (weights - default).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()
