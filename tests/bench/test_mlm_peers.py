"""The peers of bench_mlm compute what they should: else their speed says nothing."""

import argparse

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from beautybert.bert import pretrained
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM
from tests.bench import mlm_peers
from tests.bench.mlm_peers import STOCK, FlattenedPeer, flat_inputs, make_peer

transformers = pytest.importorskip("transformers", minversion="5")
SEQLENS = (7, 23, 3, 12)
VARLEN = "attention_by_lengths"  # what takes the place of FlashAttention here


@pytest.fixture
def args(texts):
    return argparse.Namespace(
        data=[str(texts)],
        device="cpu",
        amp="none",
        max_length=64,
        batch_tokens=512,
        peer_texts=8,
        peer_blocks=4,
        flat_texts=8,
        warmup=1,
        steps=2,
        seed=0,
    )


@pytest.fixture
def documents(tokenizer):
    torch.manual_seed(0)
    return [torch.randint(5, tokenizer.get_vocab_size(), (length,)) for length in SEQLENS]


def attention_by_lengths(module, q, k, v, mask, *, cu_seq_lens_q, cu_seq_lens_k, **others):
    """Attention as FlashAttention has it: q, k, v (1, H, N, K), each text from its start on."""
    assert mask is None and torch.equal(cu_seq_lens_q, cu_seq_lens_k)
    assert others["max_length_q"] == others["max_length_k"] == max(SEQLENS)
    bounds = cu_seq_lens_q.tolist()
    parts = []
    for start, end in zip(bounds, bounds[1:], strict=False):
        of_text = (x[:, :, start:end] for x in (q, k, v))
        parts.append(scaled_dot_product_attention(*of_text))
    return torch.cat(parts, dim=2).transpose(1, 2), None


@pytest.fixture
def varlen_attention():
    """An attention function that transformers calls as it calls FlashAttention."""
    transformers.AttentionInterface.register(VARLEN, attention_by_lengths)
    yield VARLEN
    del transformers.AttentionInterface._global_mapping[VARLEN]


def next_documents(peer):
    """The rows of a peer's next batch, and the batch."""
    indices = next(peer.order)
    peer.order = iter([indices])
    return [peer.rows[index] for index in indices], peer.next_batch()


@torch.no_grad()
def flat_logits(folder, args, documents, attention):
    """The logits of `flattened` for all tokens with that attention, (N, V)."""
    peer = FlattenedPeer(folder, args)
    peer.attention = attention
    peer.model.set_attn_implementation(attention)
    peer.model.eval()
    inputs = flat_inputs(torch.cat(documents)[None], [len(ids) for ids in documents], attention)
    return peer.logits(inputs, torch.arange(sum(SEQLENS)))


@torch.no_grad()
def our_logits(folder, documents):
    model = BertForMaskedLM(pretrained.read_config(folder), pooler=True)
    pretrained.load_weights(model, pretrained.canonical_weights(folder)[0])
    positions = torch.cat([torch.arange(len(ids)) for ids in documents])
    lengths = PackedLengths.of([len(ids) for ids in documents])
    return model.eval()(torch.cat(documents), positions, lengths, torch.arange(sum(SEQLENS)))


@pytest.mark.parametrize("attention", ["sdpa", "flex_attention", VARLEN])
def test_flattened_texts_have_the_logits_of_each_alone_and_ours(
    attention, checkpoint, args, documents, varlen_attention
):
    found = flat_logits(checkpoint, args, documents, attention)
    model = mlm_peers.load_model(checkpoint, "sdpa", torch.device("cpu")).eval()
    with torch.no_grad():
        alone = torch.cat([model(input_ids=ids[None]).logits[0] for ids in documents])
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(found, our_logits(checkpoint, documents), atol=1e-5, rtol=0)


def test_restarting_positions_alone_do_not_keep_texts_apart(checkpoint, documents):
    """Why `flattened` passes a mask: if this fails, transformers has learned it."""
    model = mlm_peers.load_model(checkpoint, "sdpa", torch.device("cpu")).eval()
    inputs = flat_inputs(torch.cat(documents)[None], list(SEQLENS), "sdpa")
    with torch.no_grad():
        apart = model(**inputs).logits
        del inputs["attention_mask"]
        mixed = model(**inputs).logits
    assert (apart - mixed).abs().max() > 1e-3


def test_the_loss_of_flattened_is_that_of_padded_texts(checkpoint, args):
    """The mean over the same targets: less work, not another task."""
    peer = make_peer("flattened", checkpoint, args)
    peer.model.eval()
    documents, batch = next_documents(peer)
    labels = torch.full_like(batch.inputs["input_ids"][0], -100)
    labels[batch.inputs["targets"]] = batch.inputs["target_ids"]
    seqlens = [len(ids) for ids in documents]

    def padded(row, filler):
        return torch.nn.utils.rnn.pad_sequence(row.split(seqlens), True, filler)

    with torch.no_grad():
        expected = peer.model(
            input_ids=padded(batch.inputs["input_ids"][0], 0),
            attention_mask=padded(torch.ones_like(labels), 0),
            labels=padded(labels, -100),
        )
        torch.testing.assert_close(peer.loss(batch.inputs), expected.loss)
    assert batch.num_tokens == batch.num_with_padding == sum(seqlens)


def test_targets_of_flattened_are_a_seventh_of_the_tokens_and_what_stood_there(checkpoint, args):
    args.flat_texts = 100
    peer = make_peer("flattened", checkpoint, args)
    documents, batch = next_documents(peer)
    row = torch.cat([torch.from_numpy(ids).long() for ids in documents])
    targets = batch.inputs["targets"]
    assert 0.1 < len(targets) / batch.num_tokens < 0.2
    assert torch.equal(row[targets], batch.inputs["target_ids"])
    changed = (batch.inputs["input_ids"][0] != row).nonzero()[:, 0]
    assert len(changed) > len(targets) / 2 and set(changed.tolist()) <= set(targets.tolist())


@pytest.mark.parametrize("name", sorted(set(STOCK) - {"compiled"}))
def test_padding_is_no_real_token(name, checkpoint, args):
    peer = make_peer(name, checkpoint, args)
    rows, batch = next_documents(peer)
    longest = max(map(len, rows))
    width = args.max_length if name == "padded" else longest
    assert batch.num_tokens == sum(map(len, rows))
    assert batch.inputs["input_ids"].shape == (len(rows), width)
    assert batch.num_with_padding == len(rows) * width
    assert ("attention_mask" in batch.inputs) == (name != "unmasked")


def test_sorted_batches_have_less_padding_than_dynamic_ones(checkpoint, args):
    padding = {}
    for name in ("dynamic", "sorted"):
        peer = make_peer(name, checkpoint, args)
        batches = [peer.next_batch() for _ in range(20)]
        num_tokens = sum(batch.num_tokens for batch in batches)
        padding[name] = 1 - num_tokens / sum(batch.num_with_padding for batch in batches)
    assert padding["sorted"] < padding["dynamic"] / 2


def test_a_measured_peer_trains_at_least_the_tokens_of_a_step(checkpoint, args):
    found = mlm_peers.measure("flattened", checkpoint, args)
    assert len(found["tokens"]) == len(found["seconds"]) == args.steps
    assert min(found["tokens"]) >= args.batch_tokens
    assert found["padding"] == 0


def test_the_blocks_of_compiled_have_one_shape(checkpoint, args, monkeypatch):
    shapes = set()
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)
    peer = make_peer("compiled", checkpoint, args)
    for _ in range(5):
        batch = peer.next_batch()
        shapes.add(batch.inputs["input_ids"].shape)
        assert set(batch.inputs) <= {"input_ids", "labels", "token_type_ids"}
    assert shapes == {(args.peer_blocks, args.max_length)}
