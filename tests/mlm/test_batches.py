import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beautybert.bert.token_units import Vocabulary
from beautybert.bert.wordpiece import special_ids
from beautybert.cls.batches import (
    Example,
    drop_ingredients,
    pack_examples,
    shuffled_indices,
    truncate_head_and_tail,
)
from beautybert.mlm import token_cache
from beautybert.mlm.batches import (
    MicroBatchOrder,
    Windows,
    join_windows,
    masked_micro_batch,
    pack,
    split_documents,
)
from beautybert.mlm.corpus import TEXT_FIELDS
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.seeding import MASK, generator_of, seed_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory, texts, tokenizer):
    folder = tmp_path_factory.mktemp("cache")
    token_cache.build(folder, [str(texts)], tokenizer, TEXT_FIELDS)
    return TokenCache(folder)


def test_windows_hold_every_token_of_every_document_once(cache):
    documents = np.arange(0, len(cache), 3)
    for max_length in (3, 17, 64, 4096):
        windows = Windows.cut(cache, documents, max_length)
        pieces = [
            np.asarray(cache.tokens[s : s + n]) for s, n in zip(windows.starts, windows.lengths)
        ]
        assert np.array_equal(
            np.concatenate(pieces), np.concatenate([cache.document(d) for d in documents])
        )
        assert windows.lengths.max() <= max_length - 2 and windows.lengths.min() >= 1


def test_windows_of_a_document_are_equally_long(cache):
    longest = int(np.argmax(np.diff(cache.offsets)))
    lengths = Windows.cut(cache, np.array([longest]), 20).lengths
    assert len(lengths) > 2 and lengths.max() - lengths.min() <= 1


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=200),
    st.integers(32, 200),
    st.integers(0, 100),
)
def test_packing_keeps_the_order_fits_the_budget_and_never_stops_early(lengths, budget, key):
    lengths = np.array(lengths)
    order = np.random.default_rng(key).permutation(len(lengths))
    packed = pack(lengths, order, budget)
    assert np.concatenate(packed).tolist() == order.tolist()
    used = [(lengths[batch] + 2).sum() for batch in packed]
    assert max(used) <= budget
    assert all(
        total + lengths[following[0]] + 2 > budget for total, following in zip(used, packed[1:])
    )


def test_the_sequence_of_micro_batches_is_a_function_of_the_seed_alone(cache):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    one, other = (MicroBatchOrder(windows, 256, seed=3) for _ in range(2))
    numbers = [0, 1, one.count(1) - 1, one.count(1), one.count(2) + 5]
    forwards, backwards = [one[n] for n in numbers], [other[n] for n in reversed(numbers)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards))
    assert not np.array_equal(one[0], MicroBatchOrder(windows, 256, seed=4)[0])


def test_each_epoch_holds_every_window_once_in_a_new_order(cache):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    order = MicroBatchOrder(windows, 256, seed=0)
    epochs = [
        np.concatenate(
            [order[n] for n in range(order.first_of_epoch(e), order.first_of_epoch(e + 1))]
        )
        for e in range(3)
    ]
    assert all(sorted(epoch) == list(range(len(windows))) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert [order.epoch_of(order.first_of_epoch(e)) for e in range(3)] == [
        0,
        1,
        2,
    ] and order.epoch_of(order.first_of_epoch(1) - 1) == 0
    assert order.count(1.5) == order.count(1) + round((order.count(2) - order.count(1)) / 2)


def test_micro_batch_is_whole_documents_between_cls_and_sep(cache, tokenizer):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    chosen = np.array([5, 0, 9, 3])
    ids, lengths = join_windows(cache, windows, chosen, cls_id=2, sep_id=3)
    assert lengths.tolist() == sorted(windows.lengths[chosen] + 2)
    documents = np.split(ids, lengths.cumsum()[:-1])
    assert all(d[0] == 2 and d[-1] == 3 for d in documents)
    inside = sorted(tuple(d[1:-1].tolist()) for d in documents)
    assert inside == sorted(
        tuple(cache.tokens[windows.starts[w] : windows.starts[w] + windows.lengths[w]].tolist())
        for w in chosen
    )

    batch = masked_micro_batch(
        ids, lengths, Vocabulary.of(tokenizer), 0.3, "token", generator_of(0, MASK, 1, 0)
    )
    assert batch.position_ids.tolist() == [i for length in lengths for i in range(length)]
    restored = batch.input_ids.clone()
    restored[batch.target_positions] = batch.target_ids
    assert torch.equal(restored, torch.from_numpy(ids)), (
        "labels and ids together must give the text back"
    )


def test_split_is_seeded_complete_and_never_empty():
    for count, fraction in ((2, 0.02), (3, 0.9), (500, 0.02)):
        train, valid = split_documents(count, fraction, seed=1)
        assert sorted([*train, *valid]) == list(range(count)) and len(train) and len(valid)
    assert len(valid) == 10 and not np.array_equal(valid, split_documents(500, 0.02, seed=2)[1])
    with pytest.raises(ValueError, match="1 document"):
        split_documents(1, 0.1, seed=0)


def test_keys_are_independent():
    seeds = {seed_of(*key) for key in [(0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1, 2, 0), (0, 12)]}
    assert len(seeds) == 5 and seed_of(0, 1, 2) in seeds


def test_labelled_documents_keep_their_label_and_their_boundaries():
    examples = [Example(np.arange(n), n) for n in (3, 7, 7, 2)]
    batch = pack_examples(examples)
    documents = batch.input_ids.split(batch.lengths.seqlens)
    assert all(
        document.tolist() == list(range(label))
        for document, label in zip(documents, batch.target_ids.tolist())
    )
    assert (
        batch.position_ids.tolist() == batch.input_ids.tolist()
        and batch.lengths.cu_seqlens.tolist() == [0, 3, 10, 17, 19]
    )


def test_long_lists_keep_head_and_tail():
    assert truncate_head_and_tail(range(5), 5) == [0, 1, 2, 3, 4] and truncate_head_and_tail(
        range(100), 9
    ) == [0, 1, 2, 3, 4, 5, 97, 98, 99]
    assert all(len(truncate_head_and_tail(range(100), room)) == room for room in range(1, 12))


def test_whole_ingredients_are_left_out_and_never_all(tokenizer):
    vocabulary, special = Vocabulary.of(tokenizer), special_ids(tokenizer)
    text = "glycerin stearate, 1,2-hexanediol, water, soothing cream"
    ids = np.array(
        [special["[CLS]"], *tokenizer.encode(text, add_special_tokens=False).ids, special["[SEP]"]]
    )
    whole = [piece for name in text.split(", ") for piece in (name, ",")][:-1]
    found = [drop_ingredients(ids, 0.3, vocabulary, generator_of(i)) for i in range(400)]
    for kept in found:
        assert kept[0] == special["[CLS]"] and kept[-1] == special["[SEP]"]
        left = tokenizer.decode(kept.tolist(), skip_special_tokens=True).replace(" ", "")
        for unit in whole:  # in order, each whole or not at all
            left = left.removeprefix(unit.replace(" ", ""))
        assert left == ""
    shares = (
        np.mean(
            [
                sum(
                    name.replace(" ", "") in tokenizer.decode(kept.tolist()).replace(" ", "")
                    for name in text.split(", ")
                )
                for kept in found
            ]
        )
        / 4
    )
    assert abs(shares - 0.7) < 0.05
    assert drop_ingredients(ids, 1.0, vocabulary, generator_of(0)).tolist() == ids.tolist()
    commas = [
        vocabulary.is_separator[kept].sum() == len(kept) - 2
        for kept in (drop_ingredients(ids, 0.95, vocabulary, generator_of(i)) for i in range(200))
    ]
    assert not any(commas), "a list of nothing but commas"
    assert drop_ingredients(ids, 0.0, vocabulary, generator_of(0)).tolist() == ids.tolist()


def test_the_endless_sequence_holds_each_example_once_an_epoch_wherever_it_is_cut():
    whole = shuffled_indices(0, 30, 10, seed=1)
    assert (
        all(sorted(epoch) == list(range(10)) for epoch in whole.reshape(3, 10))
        and whole[:10].tolist() != whole[10:20].tolist()
    )
    assert (
        np.concatenate(
            [shuffled_indices(first, 4, 10, seed=1) for first in range(0, 28, 4)]
        ).tolist()
        == whole[:28].tolist()
    )
    assert whole.tolist() != shuffled_indices(0, 30, 10, seed=2).tolist()
