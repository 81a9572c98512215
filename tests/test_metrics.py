import math

import torch
import torch.nn.functional as F

from beautybert.metrics import mlm_metrics, mlm_sums


def test_sums_over_parts_give_the_metrics_of_the_whole():
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 9), torch.randint(0, 9, (50,))
    parts = sum(mlm_sums(logits[a:b], targets[a:b]) for a, b in ((0, 1), (1, 1), (1, 40), (40, 50)))
    metrics = mlm_metrics(parts)
    assert metrics["targets"] == 50
    assert math.isclose(metrics["loss"], F.cross_entropy(logits, targets).item(), rel_tol=1e-6)
    assert math.isclose(metrics["perplexity"], math.exp(metrics["loss"])) and math.isclose(metrics["accuracy"], (logits.argmax(1) == targets).float().mean().item(), rel_tol=1e-6)
