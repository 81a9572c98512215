import numpy as np
import pytest
import torch

from beautybert.bert.token_units import Vocabulary
from beautybert.bert.wordpiece import special_ids
from beautybert.cls.batches import (
    ClsBatches,
    Example,
    drop_ingredients,
    encode_documents,
    pack_examples,
    shuffled_indices,
    truncate_head_and_tail,
)
from beautybert.cls.products import Product
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import generator_of
from tests.conftest import product_texts

# ---- documents ---------------------------------------------------------------------------------


def test_labelled_documents_keep_their_label_and_their_boundaries():
    examples = [Example(np.arange(length), length) for length in (3, 7, 7, 2)]
    batch = pack_examples(examples)
    documents = batch.input_ids.split(batch.lengths.seqlens)
    for document, label_id in zip(documents, batch.target_ids.tolist(), strict=True):
        assert document.tolist() == list(range(label_id))
    assert batch.position_ids.tolist() == batch.input_ids.tolist()
    assert batch.lengths.cu_seqlens.tolist() == [0, 3, 10, 17, 19]
    assert batch.num_tokens == 19
    assert batch.weights.tolist() == [1, 1, 1, 1]


def test_documents_weigh_what_their_class_does():
    examples = [Example(np.arange(3), label_id) for label_id in (2, 0, 2)]
    batch = pack_examples(examples, torch.tensor([0.5, 9.0, 2.0]))
    assert batch.weights.tolist() == [2.0, 0.5, 2.0]
    assert batch.num_targets == 4.5


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
    """Products of three labels, the first much more frequent in training than the others."""
    texts = product_texts(100)
    labels = ["cream"] * 40 + ["oil"] * 10 + ["serum"] * 10 + ["cream", "oil"] * 20
    products = [
        Product("test", row, f"brand {row}", texts[row].replace(" ", ", "), texts[row], label)
        for row, label in enumerate(labels)
    ]
    return {"train": products[:60], "valid": products[60:65], "test": products[65:]}


def batches_of(by_split, tokenizer, **changes):
    options = {
        "batch_size": 16,
        "micro_batch_size": 4,
        "max_length": 64,
        "ingredient_dropout": 0.3,
        "class_weights": False,
        "seed": 3,
    }
    return ClsBatches(by_split, tokenizer, **options | changes)


def check_same(batch, expected):
    for name in ("input_ids", "position_ids", "target_ids", "weights"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name
    assert batch.lengths.seqlens == expected.lengths.seqlens
    assert batch.index == expected.index


def test_a_training_batch_is_a_function_of_seed_step_and_index(by_split, tokenizer):
    data = batches_of(by_split, tokenizer)
    keys = [(step, i) for step in (1, 2, 9) for i in range(4)]
    expected = {key: data.train_batch(*key) for key in keys}
    for key in reversed(keys):
        check_same(data.train_batch(*key), expected[key])
        check_same(batches_of(by_split, tokenizer).train_batch(*key), expected[key])
    different = {tuple(batch.input_ids.tolist()) for batch in expected.values()}
    assert len(different) == len(keys)
    other = batches_of(by_split, tokenizer, seed=4).train_batch(1, 0)
    assert not torch.equal(other.input_ids, expected[1, 0].input_ids)


def test_the_steps_of_an_epoch_hold_every_training_list_once(by_split, tokenizer):
    data = batches_of(by_split, tokenizer, ingredient_dropout=0.0, batch_size=4)
    assert data.steps(1) == 15
    assert data.epoch_at(15) == 1
    documents = []
    for step in range(1, 16):
        batch = data.train_batch(step, 0)
        documents += [part.tolist() for part in batch.input_ids.split(batch.lengths.seqlens)]
    assert sorted(documents) == sorted(example.ids.tolist() for example in data.examples["train"])


def test_ranks_share_the_examples_of_a_split_with_their_indices(by_split, tokenizer):
    data = batches_of(by_split, tokenizer)
    found = {}
    for rank in range(2):
        for indices, batch in data.eval_batches("test", Ranks(rank, rank, 2, CPU)):
            documents = batch.input_ids.split(batch.lengths.seqlens)
            for index, document, label_id in zip(indices, documents, batch.target_ids, strict=True):
                assert index not in found
                found[index] = (document.tolist(), int(label_id))
    assert sorted(found) == list(range(35))
    for index, example in enumerate(data.examples["test"]):
        assert found[index] == (example.ids.tolist(), example.label_id)
    assert data.target_ids("test").tolist() == [found[index][1] for index in range(35)]


def test_rare_classes_weigh_more_and_all_together_what_the_documents_do(by_split, tokenizer):
    data = batches_of(by_split, tokenizer, class_weights=True)
    assert data.labels == ["cream", "oil", "serum"]
    torch.testing.assert_close(data.label_weights, torch.tensor([0.5, 2.0, 2.0]))
    weights = data.label_weights[data.target_ids("train")]
    assert weights.sum().item() == pytest.approx(60)
    assert batches_of(by_split, tokenizer).label_weights.tolist() == [1, 1, 1]
