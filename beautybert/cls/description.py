"""What is in labelled tables, at a glance: labels, lengths, splits, examples (--describe)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from beautybert.cls.products import INPUTS, Product, texts
from beautybert.files import printable

WIDTH = 40  # characters of the longest bar
SHOWN = 10  # examples
LONGEST_LABEL = 60  # characters that are shown


def describe(splits: Mapping[str, Sequence[Product]]) -> str:
    """Splits of products -> the histograms of their labels and lengths, and examples, for people.

    Lengths are in words. What was dropped is said by ProductCounts, what the splits share by
    splits.check_no_overlap.
    """
    products = [product for members in splits.values() for product in members]
    lines = [f"{len(products):,} products; by label (training, validation, test):"]
    by_split = [Counter(product.label for product in members) for members in splits.values()]
    totals = Counter(product.label for product in products)
    width = min(LONGEST_LABEL, max(map(len, totals)))
    largest = max(totals.values())
    for label, total in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        numbers = "".join(f"{counts[label]:>7,}" for counts in by_split)
        lines.append(f"  {label[:width]:<{width}}{numbers}  {_bar(total, largest)}")
    for part in INPUTS:
        lengths = [len(text.split()) for text in texts(products, [part])]
        if not lengths:
            continue
        mean = sum(lengths) / len(lengths)
        lines.append(f"{part}: {len(lengths):,} texts, {mean:.1f} words on average")
        lines += histogram(lengths, "words")
    lines.append("examples:")
    for i in range(min(SHOWN, len(products))):
        product = products[i * len(products) // min(SHOWN, len(products))]
        lines.append(f"  {product.source}, row {product.row}: {product.label}")
        for part in INPUTS:
            text = getattr(product, part)
            if text:
                lines.append(f"    {part}: {text[:80]}{' ...' if len(text) > 80 else ''}")
    return "\n".join(map(printable, lines))


def histogram(lengths: Iterable[int], unit: str) -> list[str]:
    """How many of the lengths, each at least 1, there are from each power of two to the next."""
    bins = Counter(1 << (length.bit_length() - 1) for length in lengths)
    return [
        f"  from {edge:>5,} {unit} {count:>9,}  {_bar(count, max(bins.values()))}"
        for edge, count in sorted(bins.items())
    ]


def _bar(value: int, largest: int) -> str:
    """A bar of at most `WIDTH` signs, at least one."""
    return "#" * max(1, round(WIDTH * value / largest))
