import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beautybert.bert import token_units
from beautybert.bert.token_units import Vocabulary
from beautybert.mlm import batches, token_cache
from beautybert.mlm.batches import (
    MicroBatchOrder,
    MlmBatches,
    Windows,
    join_windows,
    masked_micro_batch,
    pack,
    split_documents,
)
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import MASK, generator_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory, texts, tokenizer):
    folder = tmp_path_factory.mktemp("cache")
    corpus = Corpus((str(texts),))
    token_cache.build(folder, corpus, tokenizer)
    return TokenCache(folder, corpus)


# ---- windows and their order -------------------------------------------------------------------


@pytest.mark.parametrize("max_length", [3, 17, 64, 4096])
def test_windows_hold_every_token_of_every_document_once(cache, max_length):
    documents = np.arange(0, len(cache), 3)
    windows = Windows.cut(cache, documents, max_length)
    pieces = [
        cache.tokens[start : start + length]
        for start, length in zip(windows.starts, windows.lengths, strict=True)
    ]
    expected = np.concatenate([cache.document(document) for document in documents])
    assert np.array_equal(np.concatenate(pieces), expected)
    assert windows.lengths.max() <= max_length - 2
    assert windows.lengths.min() >= 1


def test_windows_of_a_document_are_equally_long(cache):
    longest = int(np.argmax(np.diff(cache.offsets)))
    lengths = Windows.cut(cache, np.array([longest]), 20).lengths
    assert len(lengths) > 2
    assert lengths.max() - lengths.min() <= 1


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_windows_are_the_same_however_many_documents_are_cut_at_once(cache, monkeypatch, at_once):
    documents = np.arange(3, len(cache))
    expected = Windows.cut(cache, documents, 20)
    monkeypatch.setattr(batches, "CUT_AT_ONCE", at_once)
    found = Windows.cut(cache, documents, 20)
    assert np.array_equal(found.starts, expected.starts)
    assert np.array_equal(found.lengths, expected.lengths)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=200),
    st.integers(32, 200),
    st.integers(0, 100),
)
def test_packing_keeps_the_order_fits_the_budget_and_never_stops_early(lengths, budget, seed):
    lengths = np.array(lengths)
    order = np.random.default_rng(seed).permutation(len(lengths))
    packed = pack(lengths, order, budget)
    assert np.concatenate(packed).tolist() == order.tolist()
    used = [(lengths[batch] + 2).sum() for batch in packed]
    assert max(used) <= budget
    for total, following in zip(used[:-1], packed[1:], strict=True):
        assert total + lengths[following[0]] + 2 > budget


def test_the_sequence_of_micro_batches_is_a_function_of_the_seed_alone(cache):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    order, same = (MicroBatchOrder(windows, 256, seed=3) for _ in range(2))
    indices = [0, 1, order.count(1) - 1, order.count(1), order.count(2) + 5]
    forwards = [order[index] for index in indices]
    backwards = [same[index] for index in reversed(indices)]
    for expected, found in zip(forwards, reversed(backwards), strict=True):
        assert np.array_equal(expected, found)
    assert not np.array_equal(order[0], MicroBatchOrder(windows, 256, seed=4)[0])


def test_each_epoch_holds_every_window_once_in_a_new_order(cache):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    order = MicroBatchOrder(windows, 256, seed=0)
    starts = [order.start_of_epoch(epoch) for epoch in range(4)]
    epochs = []
    for start, end in itertools.pairwise(starts):
        epochs.append(np.concatenate([order[index] for index in range(start, end)]))
    for epoch in epochs:
        assert sorted(epoch) == list(range(len(windows)))
    assert not np.array_equal(epochs[0], epochs[1])
    assert [order.epoch_of(start) for start in starts] == [0, 1, 2, 3]
    assert order.epoch_of(starts[1] - 1) == 0


def test_a_part_of_an_epoch_counts_in_proportion(cache):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    order = MicroBatchOrder(windows, 256, seed=0)
    assert order.count(1.5) == order.count(1) + round((order.count(2) - order.count(1)) / 2)


def test_split_is_seeded_complete_and_never_empty():
    for count, fraction in ((2, 0.02), (3, 0.9), (500, 0.02)):
        train, valid = split_documents(count, fraction, seed=1)
        assert sorted([*train, *valid]) == list(range(count))
        assert len(train) and len(valid)
    assert len(valid) == 10
    assert not np.array_equal(valid, split_documents(500, 0.02, seed=2)[1])
    with pytest.raises(ValueError, match="1 document"):
        split_documents(1, 0.1, seed=0)


# ---- one micro-batch ---------------------------------------------------------------------------


def text_of(batch):
    """The ids of a micro-batch with its targets put back."""
    ids = batch.input_ids.clone()
    ids[batch.target_positions] = batch.target_ids
    return ids


def test_a_micro_batch_is_complete_documents_between_cls_and_sep(cache, tokenizer):
    windows = Windows.cut(cache, np.arange(len(cache)), 64)
    chosen = np.array([5, 0, 9, 3])
    ids, lengths = join_windows(cache, windows, chosen, cls_id=2, sep_id=3)
    assert lengths.tolist() == sorted(windows.lengths[chosen] + 2)
    documents = [part.tolist() for part in np.split(ids, lengths.cumsum()[:-1])]
    assert all(document[0] == 2 and document[-1] == 3 for document in documents)
    expected = []
    for window in chosen:
        start = windows.starts[window]
        expected.append(cache.tokens[start : start + windows.lengths[window]].tolist())
    assert sorted(document[1:-1] for document in documents) == sorted(expected)

    rng = generator_of(0, MASK, 1, 0)
    batch = masked_micro_batch(ids, lengths, Vocabulary.of(tokenizer), 0.3, "token", rng)
    assert batch.position_ids.tolist() == [i for length in lengths for i in range(length)]
    assert batch.lengths.seqlens == tuple(lengths)
    assert batch.num_tokens == len(ids)
    assert torch.equal(text_of(batch), torch.from_numpy(ids)), "targets and ids give the text back"


# ---- the micro-batches of a run ----------------------------------------------------------------


def batches_of(cache, tokenizer, **changes):
    options = {
        "batch_tokens": 1024,
        "micro_batch_tokens": 256,
        "max_length": 64,
        "mask_prob": 0.15,
        "mask_unit": "word",
        "valid_fraction": 0.05,
        "pad_micro_batches": False,
        "seed": 3,
    }
    return MlmBatches(cache, tokenizer, **options | changes)


def check_same(batch, expected):
    for name in ("input_ids", "position_ids", "target_positions", "target_ids"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name
    assert batch.lengths.seqlens == expected.lengths.seqlens
    assert (batch.num_tokens, batch.index) == (expected.num_tokens, expected.index)


def test_a_training_batch_is_a_function_of_seed_step_and_index(cache, tokenizer):
    data = batches_of(cache, tokenizer)
    last = data.steps(2)  # the order of two epochs
    keys = [(step, i) for step in (1, 2, last, last + 1) for i in range(4)]
    expected = {key: data.train_batch(*key) for key in keys}
    fresh = batches_of(cache, tokenizer)
    for index in np.random.default_rng(0).permutation(len(keys)):
        check_same(fresh.train_batch(*keys[index]), expected[keys[index]])
    for key in reversed(keys):
        check_same(data.train_batch(*key), expected[key])
    assert [expected[1, i].index for i in range(4)] == [0, 1, 2, 3]
    texts = {tuple(text_of(batch).tolist()) for batch in expected.values()}
    assert len(texts) == len(keys), "another step or index is another batch"
    other = batches_of(cache, tokenizer, seed=4).train_batch(1, 0)
    assert not torch.equal(text_of(other), text_of(expected[1, 0])), "another seed is another batch"


def test_a_random_unit_is_drawn_from_the_key_of_the_batch_too(cache, tokenizer, monkeypatch):
    monkeypatch.setitem(
        token_units.UNITS, "span", lambda ids, vocabulary, rng: rng.random(len(ids)) < 1 / 3
    )
    data = batches_of(cache, tokenizer, mask_unit="span")
    expected = [data.train_batch(1, i) for i in range(4)]
    for i in (2, 0, 3, 1):
        check_same(data.train_batch(1, i), expected[i])


def test_the_batches_of_an_epoch_hold_every_training_window_once(cache, tokenizer):
    data = batches_of(cache, tokenizer, batch_tokens=256)
    documents = []
    for step in range(1, data.steps(1) + 1):
        batch = data.train_batch(step, 0)
        assert data.epoch_at(step) == 0
        documents += [part.tolist() for part in text_of(batch).split(batch.lengths.seqlens)]
    assert data.epoch_at(data.steps(1) + 1) == 1
    windows = Windows.cut(cache, data.train_documents, 64)
    expected = []
    for start, length in zip(windows.starts, windows.lengths, strict=True):
        ids = cache.tokens[start : start + length].tolist()
        expected.append([data.special["[CLS]"], *ids, data.special["[SEP]"]])
    assert sorted(documents) == sorted(expected)


def test_padding_adds_documents_of_pad_alone_and_keeps_the_targets(cache, tokenizer):
    plain = batches_of(cache, tokenizer)
    with_padding = batches_of(cache, tokenizer, pad_micro_batches=True)
    num_padded = 0
    for step in range(1, 6):
        for i in range(plain.micro_batches_per_step):
            batch, longer = plain.train_batch(step, i), with_padding.train_batch(step, i)
            N = batch.num_tokens
            assert len(longer.input_ids) == len(longer.position_ids) == 256
            assert sum(longer.lengths.seqlens) == 256
            assert torch.equal(longer.target_positions, batch.target_positions)
            assert torch.equal(longer.target_ids, batch.target_ids)
            assert torch.equal(longer.input_ids[:N], batch.input_ids)
            assert (longer.input_ids[N:] == tokenizer.token_to_id("[PAD]")).all()
            assert longer.lengths.seqlens[: len(batch.lengths.seqlens)] == batch.lengths.seqlens
            assert longer.num_tokens == N <= 256, "padding is not counted"
            assert longer.index == i
            num_padded += N < 256
    assert num_padded, "some are not full"


def test_validation_is_the_same_whatever_trains_and_however_many_ranks_share_it(cache, tokenizer):
    cpu = torch.device("cpu")
    changes = {"batch_tokens": 2048, "micro_batch_tokens": 512, "mask_prob": 0.4}
    options = {"valid_fraction": 0.9}
    expected = list(batches_of(cache, tokenizer, **options).valid_batches(Ranks(0, 0, 1, cpu)))
    assert len(expected) > 2
    other = batches_of(cache, tokenizer, **options, **changes, mask_unit="ingredient")
    shares = [list(other.valid_batches(Ranks(rank, rank, 2, cpu))) for rank in range(2)]
    assert sum(map(len, shares)) == len(expected)
    for i, batch in enumerate(expected):
        check_same(shares[i % 2][i // 2], batch)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 4},
        {"batch_tokens": 2048},
        {"micro_batch_tokens": 512},
        {"max_length": 32},
        {"mask_prob": 0.2},
        {"mask_unit": "token"},
        {"valid_fraction": 0.1},
    ],
)
def test_whatever_changes_the_batches_changes_the_signature(cache, tokenizer, changes):
    expected = batches_of(cache, tokenizer).signature
    found = batches_of(cache, tokenizer, **changes).signature
    assert {name for name in expected if found[name] != expected[name]} == set(changes)
