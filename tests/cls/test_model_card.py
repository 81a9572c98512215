"""The card says what the report says."""

import pytest

from beautybert.cls.model_card import model_card


def scores_of(accuracy, svc, shares):
    """What report.json has of an input."""
    coverage = [
        {"min_probability": level, "answered": answered, "correct": correct}
        for level, answered, correct in shares
    ]
    return {
        "products": 1234,
        "accuracy": accuracy,
        "top3": 0.9,
        "macro_f1": 0.5,
        "majority_accuracy": 0.06,
        "tfidf_linear_svc": svc and {"accuracy": svc[0], "macro_f1": svc[1]},
        "coverage": coverage,
    }


@pytest.fixture
def report():
    name = scores_of(0.789, (0.77, 0.654), [(0.0, 1.0, 0.789), (0.9, 0.25, 0.96)])
    everything = scores_of(0.811, (0.75, 0.6), [(0.0, 0.99, 0.82), (0.9, 0.4, 0.97)])
    weights = {"name": {"name": 0.8, "prior": -0.25}, "both": {"name": 0.7, "ingredients": 0.3}}
    return {
        **everything,
        "sizes": {"train": 8000, "valid": 900, "test": 1234},
        "by_input": {"name": name},
        "pool": weights,
    }


def rows_of(card):
    """The cells of each row of its tables."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_tables_have_the_scores_the_coverage_and_the_pool(report):
    card = model_card(report, ["Cream", "Gel"], "ask it")
    rows = rows_of(card)
    assert card.startswith("---\nlibrary_name: beautybert\n")
    assert "tells 2 labels apart by its name." in card and "trained on\n8,000 products" in card
    assert "\n    ask it\n" in card and card.endswith("Cream, Gel.\n")
    own = ["90.0%", "0.500"]
    assert ["as they are", "1,234", "81.1%", *own, "75.0%", "0.600", "6.0%"] in rows
    assert ["name alone", "1,234", "78.9%", *own, "77.0%", "0.654", "6.0%"] in rows
    assert ["0.9", "40%, 97% right", "25%, 96% right"] in rows
    assert ["", "name", "prior", "ingredients"][1:] in [row[-3:] for row in rows]
    assert ["name and list", "0.700", "0.000", "0.300"] in rows
    assert len({len(row) for row in rows}) == 3, "each table has rows of one width"


def test_a_baseline_that_was_not_fitted_has_no_scores(report):
    report["tfidf_linear_svc"] = None
    rows = rows_of(model_card(report, ["Cream", "Gel"], "ask it"))
    assert ["not run", "not run"] in [row[5:7] for row in rows]
