"""What is in labelled tables, at a glance: labels, lengths, splits, examples (--describe)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from beautybert.cls.products import INPUTS, Product, texts

WIDTH = 40  # characters of the longest bar
SHOWN = 10  # examples
LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # words; lower edges of the histogram of lengths


def describe(splits: Mapping[str, Sequence[Product]]) -> str:
    """Splits of products -> the histograms of their labels and lengths, and examples, for people.

    Lengths are in words. What was dropped is said by ProductCounts, what the splits share by
    splits.check_no_overlap.
    """
    products = [product for members in splits.values() for product in members]
    lines = [f"{len(products):,} products; by label (training, validation, test):"]
    by_split = [Counter(product.label for product in members) for members in splits.values()]
    totals = Counter(product.label for product in products)
    width = max(map(len, totals))
    largest = max(totals.values())
    for label, total in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        numbers = "".join(f"{counts[label]:>7,}" for counts in by_split)
        lines.append(f"  {label:<{width}}{numbers}  {_bar(total, largest)}")
    for part in INPUTS:
        lengths = [len(text.split()) for text in texts(products, [part])]
        if not lengths:
            continue
        mean = sum(lengths) / len(lengths)
        lines.append(f"{part}: {len(lengths):,} texts, {mean:.1f} words on average")
        bins = Counter(max(edge for edge in LENGTHS if edge <= length) for length in lengths)
        for edge in LENGTHS:
            if bins[edge]:
                bar = _bar(bins[edge], max(bins.values()))
                lines.append(f"  from {edge:>3} words {bins[edge]:>7,}  {bar}")
    lines.append("examples:")
    for i in range(min(SHOWN, len(products))):
        product = products[i * len(products) // min(SHOWN, len(products))]
        lines.append(f"  {product.source}, row {product.row}: {product.label}")
        for part in INPUTS:
            text = getattr(product, part)
            if text:
                lines.append(f"    {part}: {text[:80]}{' ...' if len(text) > 80 else ''}")
    return "\n".join(lines)


def _bar(value: int, largest: int) -> str:
    """A bar of at most `WIDTH` signs, at least one."""
    return "#" * max(1, round(WIDTH * value / largest))
