from dataclasses import replace

import numpy as np
import pytest
import torch

from beautybert.bert.token_units import Vocabulary
from beautybert.bert.wordpiece import special_ids
from beautybert.cls import batches
from beautybert.cls.batches import (
    ClsBatches,
    Example,
    drop_ingredients,
    encode_documents,
    pack_examples,
    shuffled_indices,
    truncate_head_and_tail,
)
from beautybert.cls.products import INPUTS, Product
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import generator_of
from tests.conftest import product_texts

# ---- documents ---------------------------------------------------------------------------------


def split_documents(packed):
    """The ids of each document."""
    parts = packed.input_ids.split(packed.lengths.seqlens)
    return [part.tolist() for part in parts]


def example_of(label_id, **lengths):
    """An example whose documents hold 100 * label_id, + 1, ..., as many ids as asked."""
    start = 100 * label_id
    return Example({part: np.arange(start, start + n) for part, n in lengths.items()}, label_id)


def test_documents_keep_their_label_and_pairs_are_the_two_of_one_product():
    examples = [
        example_of(1, name=3, ingredients=8),
        example_of(2, ingredients=5),
        example_of(3, name=2),
        example_of(4, name=7, ingredients=4),
        example_of(5, name=3, ingredients=3),
    ]
    batch = pack_examples(examples)
    documents = split_documents(batch.inputs)
    assert list(map(len, documents)) == [2, 3, 3, 3, 4, 5, 7, 8]
    assert batch.inputs.lengths.cu_seqlens.tolist() == [0, 2, 5, 8, 11, 15, 20, 27, 35]
    positions = batch.inputs.position_ids.split(batch.inputs.lengths.seqlens)
    owners = []
    for document, position in zip(documents, positions, strict=True):
        owners.append(document[0] // 100)
        assert document == [100 * owners[-1] + n for n in range(len(document))]
        assert position.tolist() == list(range(len(document)))
    paired = [[owners[one], owners[other]] for one, other in batch.pairs.tolist()]
    assert sorted(paired) == [[1, 1], [4, 4], [5, 5]]
    assert len({index for pair in batch.pairs.tolist() for index in pair}) == 6
    assert batch.target_ids.tolist() == owners + [one for one, _ in paired]
    assert batch.num_targets == 8 + 3
    assert batch.num_tokens == 35


@pytest.mark.parametrize("part", INPUTS)
def test_products_with_one_document_have_no_pairs(part):
    batch = pack_examples([example_of(n, **{part: 3}) for n in (2, 0, 1)])
    assert batch.pairs.shape == (0, 2)
    assert batch.target_ids.tolist() == [2, 0, 1]
    logits = torch.randn(3, 4)
    assert logits[batch.pairs].sum(1).shape == (0, 4)


def test_long_lists_keep_head_and_tail():
    assert truncate_head_and_tail(range(5), 5) == [0, 1, 2, 3, 4]
    assert truncate_head_and_tail(range(100), 9) == [0, 1, 2, 3, 4, 5, 97, 98, 99]
    for max_tokens in range(1, 12):
        assert len(truncate_head_and_tail(range(100), max_tokens)) == max_tokens


def test_documents_are_between_cls_and_sep_and_their_lengths_are_those_before(tokenizer):
    texts = ["water", " ".join(["glycerin"] * 50)]
    documents, lengths = encode_documents(texts, tokenizer, max_length=20)
    special = special_ids(tokenizer)
    assert [len(document) for document in documents] == [3, 20]
    assert lengths == [3, 52]
    for document in documents:
        assert document[0] == special["[CLS]"]
        assert document[-1] == special["[SEP]"]


# ---- ingredient dropout ------------------------------------------------------------------------

NAMES = ["glycerin stearate", "1,2-hexanediol", "water", "soothing cream"]


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary.of(tokenizer)


@pytest.fixture(scope="module")
def ids(tokenizer):
    special = special_ids(tokenizer)
    encoded = tokenizer.encode(", ".join(NAMES), add_special_tokens=False).ids
    return np.array([special["[CLS]"], *encoded, special["[SEP]"]])


def without_spaces(ids, tokenizer):
    return tokenizer.decode(ids.tolist(), skip_special_tokens=True).replace(" ", "")


def test_complete_ingredients_are_left_out_in_their_share(ids, vocabulary, tokenizer):
    units = []
    for name in NAMES:
        units += [name.replace(" ", ""), ","]
    num_kept = 0
    for key in range(400):
        kept = drop_ingredients(ids, 0.3, vocabulary, generator_of(key))
        assert kept[0] == ids[0] and kept[-1] == ids[-1], "special tokens stay"
        text = without_spaces(kept, tokenizer)
        num_kept += sum(name.replace(" ", "") in text for name in NAMES)
        for unit in units[:-1]:  # in order, each completely or not at all
            text = text.removeprefix(unit)
        assert text == ""
    assert abs(num_kept / (400 * len(NAMES)) - 0.7) < 0.05


def test_a_list_never_loses_all_its_ingredients(ids, vocabulary):
    assert np.array_equal(drop_ingredients(ids, 1.0, vocabulary, generator_of(0)), ids)
    for key in range(200):
        kept = drop_ingredients(ids, 0.95, vocabulary, generator_of(key))
        is_name = ~vocabulary.is_special[kept] & ~vocabulary.is_separator[kept]
        assert is_name.any(), "a list of nothing but commas"


def test_a_share_of_0_leaves_out_nothing(ids, vocabulary):
    assert np.array_equal(drop_ingredients(ids, 0.0, vocabulary, generator_of(0)), ids)


# ---- order -------------------------------------------------------------------------------------


def test_the_endless_sequence_holds_each_example_once_an_epoch_wherever_it_is_cut():
    sequence = shuffled_indices(0, 30, 10, seed=1)
    epochs = sequence.reshape(3, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    parts = [shuffled_indices(start, 4, 10, seed=1) for start in range(0, 28, 4)]
    assert np.concatenate(parts).tolist() == sequence[:28].tolist()
    assert sequence.tolist() != shuffled_indices(0, 30, 10, seed=2).tolist()


# ---- the batches of a run ----------------------------------------------------------------------

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def by_split():
    """Products of three labels: of each seven, two have a name alone and two a list alone."""
    texts = product_texts(100)
    names = [", ".join(text.split()[:5]) for text in product_texts(100, seed=1)]
    labels = ["cream"] * 40 + ["oil"] * 10 + ["serum"] * 10 + ["cream", "oil"] * 20
    products = []
    for row, label in enumerate(labels):
        name = "" if row % 7 < 2 else names[row]
        ingredients = "" if row % 7 in (2, 3) else texts[row].replace(" ", ", ")
        keys = (ingredients, name, f"group {row}")
        products.append(Product("test", row, label, f"brand {row}", name, ingredients, *keys))
    return {"train": products[:60], "valid": products[60:65], "test": products[65:]}


def batches_of(by_split, tokenizer, **changes):
    options = {
        "batch_size": 16,
        "micro_batch_size": 4,
        "max_length": 64,
        "ingredient_dropout": 0.3,
        "seed": 3,
    }
    return ClsBatches(by_split, tokenizer, **options | changes)


def check_same(batch, expected):
    for name in ("input_ids", "position_ids"):
        assert torch.equal(getattr(batch.inputs, name), getattr(expected.inputs, name)), name
    for name in ("pairs", "target_ids"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name
    assert batch.inputs.lengths.seqlens == expected.inputs.lengths.seqlens
    assert batch.index == expected.index


def test_a_training_batch_is_a_function_of_seed_step_and_index(by_split, tokenizer):
    data = batches_of(by_split, tokenizer)
    keys = [(step, i) for step in (1, 2, 9) for i in range(4)]
    expected = {key: data.train_batch(*key) for key in keys}
    for key in reversed(keys):
        check_same(data.train_batch(*key), expected[key])
        check_same(batches_of(by_split, tokenizer).train_batch(*key), expected[key])
    different = {tuple(batch.inputs.input_ids.tolist()) for batch in expected.values()}
    assert len(different) == len(keys)
    other = batches_of(by_split, tokenizer, seed=4).train_batch(1, 0)
    assert not torch.equal(other.inputs.input_ids, expected[1, 0].inputs.input_ids)


def all_documents(examples, part):
    """The ids of one input of examples."""
    return [example.documents[part].tolist() for example in examples if part in example.documents]


def test_the_steps_of_an_epoch_hold_every_training_document_once(by_split, tokenizer):
    data = batches_of(by_split, tokenizer, ingredient_dropout=0.0, batch_size=4)
    assert data.steps(1) == 15
    assert data.epoch_at(15) == 1
    documents = []
    num_pairs = 0
    for step in range(1, 16):
        batch = data.train_batch(step, 0)
        documents += split_documents(batch.inputs)
        num_pairs += len(batch.pairs)
        assert batch.num_targets == len(batch.inputs.lengths.seqlens) + len(batch.pairs)
    examples = data.examples["train"]
    assert sorted(documents) == sorted(
        all_documents(examples, "name") + all_documents(examples, "ingredients")
    )
    assert num_pairs == sum(bool(p.name and p.ingredients) for p in by_split["train"])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_padded_micro_batches_have_one_size_and_the_same_documents(by_split, tokenizer, share):
    data, padded = (batches_of(by_split, tokenizer, ingredient_dropout=share) for _ in range(2))
    total_steps = 40  # of 60 products: some epochs
    padded.pad_micro_batches(total_steps)
    pad_id, sizes = special_ids(tokenizer)["[PAD]"], set()
    for step in range(1, total_steps + 1):
        for i in range(data.micro_batches_per_step):
            batch, other = data.train_batch(step, i), padded.train_batch(step, i)
            B, N = len(batch.inputs.lengths.seqlens), batch.num_tokens
            assert len(other.inputs.input_ids) == len(other.inputs.position_ids)
            assert len(other.inputs.input_ids) == padded.padded_tokens
            assert torch.equal(other.inputs.input_ids[:N], batch.inputs.input_ids)
            assert torch.equal(other.inputs.position_ids[:N], batch.inputs.position_ids)
            assert (other.inputs.input_ids[N:] == pad_id).all()
            seqlens = other.inputs.lengths.seqlens
            assert seqlens[:B] == batch.inputs.lengths.seqlens
            assert sum(seqlens) == padded.padded_tokens and max(seqlens) == seqlens[B - 1]
            assert torch.equal(other.pairs, batch.pairs)
            is_padding = other.target_ids == batches.IGNORED
            assert is_padding.nonzero().flatten().tolist() == list(range(B, len(seqlens)))
            assert torch.equal(other.target_ids[~is_padding], batch.target_ids)
            assert (other.num_tokens, other.num_targets) == (N, batch.num_targets)
            assert other.index == batch.index == i
            sizes.add(N)
    assert len(sizes) > 1 and (max(sizes) == padded.padded_tokens) == (share == 0)
    assert "padded for torch.compile" in padded.summary(1, total_steps)
    assert "padded" not in data.summary(1, total_steps)


def test_ingredients_are_left_out_and_names_are_complete(by_split, tokenizer):
    data = batches_of(by_split, tokenizer, ingredient_dropout=0.5, batch_size=4)
    documents = []
    for step in range(1, 16):
        documents += split_documents(data.train_batch(step, 0).inputs)
    names, lists = (all_documents(data.examples["train"], part) for part in INPUTS)
    for name in names:
        documents.remove(name)  # a ValueError if it was thinned
    assert len(documents) == len(lists)
    num_complete = sum(document in lists for document in documents)
    assert num_complete < 0.2 * len(lists)
    assert sum(map(len, documents)) < 0.7 * sum(map(len, lists))


def test_every_list_of_every_epoch_has_random_numbers_of_its_own(by_split, tokenizer, monkeypatch):
    draws = []
    drop = batches.drop_ingredients

    def watched_drop(ids, share, vocabulary, rng):
        draws.append(rng.bit_generator.state["state"]["state"])
        return drop(ids, share, vocabulary, rng)

    monkeypatch.setattr(batches, "drop_ingredients", watched_drop)
    data = batches_of(by_split, tokenizer, batch_size=12)
    for step in range(1, 11):  # two epochs
        for i in range(3):
            data.train_batch(step, i)
    num_lists = sum(bool(product.ingredients) for product in by_split["train"])
    assert len(draws) == len(set(draws)) == 2 * num_lists


def test_ranks_share_the_documents_of_a_split_with_their_indices(by_split, tokenizer):
    data = batches_of(by_split, tokenizer)
    found = {}
    for rank in range(2):
        for inputs, indices, packed in data.eval_batches("test", Ranks(rank, rank, 2, CPU)):
            for *key, document in zip(inputs, indices, split_documents(packed), strict=True):
                assert found.setdefault(tuple(key), document) is document, "it came twice"
    expected = {}
    for index, example in enumerate(data.examples["test"]):
        for part, ids in example.documents.items():
            expected[INPUTS.index(part), index] = ids.tolist()
    assert found == expected
    labels = [product.label for product in by_split["test"]]
    assert [data.labels[i] for i in data.target_ids("test").tolist()] == labels


def test_texts_and_shares_of_labels_are_those_of_the_products(by_split, tokenizer):
    data = batches_of(by_split, tokenizer)
    assert data.labels == ["cream", "oil", "serum"]
    assert data.log_prior.exp().tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert data.texts("valid") == {
        "name": [product.name for product in by_split["valid"]],
        "ingredients": [product.ingredients for product in by_split["valid"]],
    }
    assert data.inputs == list(INPUTS)
    only_names = {
        split: [replace(product, ingredients="") for product in products if product.name]
        for split, products in by_split.items()
    }
    assert batches_of(only_names, tokenizer).inputs == ["name"]
