import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

from beautybert import attention
from beautybert.bert.attention import PackedLengths, attend
from beautybert.bert.model import (
    HEADS,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertLayer,
    BertModel,
    Dropout,
    config_of_size,
    decode,
    encode_padded,
)
from beautybert.bert.pretrained import canonical_keys, load_weights
from beautybert.mlm.batches import MlmBatch
from tests.conftest import TINY, masked_attention

SMALL = replace(TINY, vocab_size=120, hidden_dropout_prob=0.0)


def flat(lengths, vocab_size=120):
    """Random documents: ids (N,), positions (N,), lengths."""
    ids = torch.randint(5, vocab_size, (sum(lengths),))
    return (
        ids,
        torch.cat([torch.arange(length) for length in lengths]),
        PackedLengths.of(lengths),
    )


@pytest.mark.parametrize("seed", range(10))
def test_logits_and_every_gradient_equal_those_of_transformers(seed):
    transformers = pytest.importorskip("transformers")
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 3, 4])
    config = BertConfig(
        vocab_size=rng.randint(50, 200),
        hidden_size=heads * rng.choice([4, 8, 16]),
        num_hidden_layers=rng.randint(1, 4),
        num_attention_heads=heads,
        intermediate_size=rng.randint(16, 96),
        hidden_act=rng.choice(["gelu", "gelu_new", "relu"]),
        max_position_embeddings=rng.randint(24, 64),
    )
    torch.manual_seed(seed)
    theirs = transformers.BertForMaskedLM(transformers.BertConfig(**config.to_dict())).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = BertForMaskedLM(config).eval()
    load_weights(ours, canonical_keys(theirs.state_dict())[0])

    lengths = sorted(rng.randint(1, 24) for _ in range(rng.randint(1, 6)))
    padded, mask = (
        torch.zeros(len(lengths), max(lengths), dtype=torch.long),
        torch.zeros(len(lengths), max(lengths), dtype=torch.long),
    )
    ids, positions, lengths = flat(lengths, config.vocab_size)
    for row, document in enumerate(ids.split(lengths)):
        padded[row, : len(document)], mask[row, : len(document)] = document, 1
    chosen = torch.randperm(len(ids))[: rng.randint(1, len(ids))]
    targets = torch.randint(0, config.vocab_size, chosen.shape)

    logits = ours(ids, positions, lengths, chosen)
    expected = theirs(input_ids=padded, attention_mask=mask).logits[mask.bool()][chosen]
    assert (logits - expected).abs().max() < 1e-5
    for out in (logits, expected):
        F.cross_entropy(out, targets).backward()
    their_gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(
            parameter.grad,
            their_gradients[name],
            atol=1e-5,
            rtol=0,
            msg=lambda text: f"{name}: {text}",
        )


@pytest.mark.parametrize("seed", range(3))
def test_pooler_head_and_its_gradients_equal_those_of_transformers(seed):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    config = replace(SMALL, num_attention_heads=2)
    theirs = transformers.BertForSequenceClassification(
        transformers.BertConfig(**config.to_dict(), num_labels=9)
    ).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = BertForSequenceClassification(config, 9).eval()
    load_weights(ours, canonical_keys(theirs.state_dict())[0])
    lengths = [3, 8, 8, 21]
    ids, positions, lengths = flat(lengths)
    padded, mask = torch.zeros(4, 21, dtype=torch.long), torch.zeros(4, 21, dtype=torch.long)
    for row, document in enumerate(ids.split(lengths)):
        padded[row, : len(document)], mask[row, : len(document)] = document, 1
    logits, expected = (
        ours(ids, positions, lengths),
        theirs(input_ids=padded, attention_mask=mask).logits,
    )
    assert (logits - expected).abs().max() < 1e-5
    for out in (logits, expected):
        F.cross_entropy(out, torch.tensor([0, 8, 3, 3])).backward()
    their_gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(
            parameter.grad,
            their_gradients[name],
            atol=1e-5,
            rtol=0,
            msg=lambda text: f"{name}: {text}",
        )


def test_other_heads_compute_what_they_say():
    torch.manual_seed(0)
    lengths = [3, 8, 21]
    ids, positions, lengths = flat(lengths)
    mlp, logits_head = (
        BertForSequenceClassification(SMALL, 5, head).double().eval()
        for head in ("mlp", "mlm-logits")
    )
    documents = mlp.bert(ids, positions, lengths).split(lengths)
    features = torch.stack([torch.cat([document[0], document.mean(0)]) for document in documents])
    dense, out_proj = mlp.classifier["dense"], mlp.classifier["out_proj"]
    torch.testing.assert_close(
        mlp(ids, positions, lengths), out_proj(F.gelu(dense(features))), atol=1e-12, rtol=0
    )

    wide = BertForSequenceClassification(SMALL, 5, "wide").double().eval()
    assert wide.load_state_dict(mlp.state_dict(), strict=False).missing_keys == [
        "classifier.wide.weight"
    ]
    assert torch.equal(wide(ids, positions, lengths), mlp(ids, positions, lengths)), (
        "it starts as mlp"
    )
    nn.init.normal_(wide.classifier["wide"].weight)
    counts = torch.stack(
        [torch.bincount(document, minlength=120) for document in ids.split(lengths)]
    ).double()
    linear = counts / torch.tensor(lengths).sqrt()[:, None] @ wide.classifier["wide"].weight
    torch.testing.assert_close(
        wide(ids, positions, lengths) - mlp(ids, positions, lengths), linear, atol=1e-12, rtol=0
    )

    first = torch.stack(
        [document[0] for document in logits_head.bert(ids, positions, lengths).split(lengths)]
    )
    vocabulary_logits = logits_head.cls["predictions"](
        first, logits_head.bert.embeddings.word_embeddings.weight
    )
    assert vocabulary_logits.shape == (3, 120) and logits_head.classifier.in_features == 120
    torch.testing.assert_close(
        logits_head(ids, positions, lengths),
        logits_head.classifier(vocabulary_logits),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_every_parameter_it_has(head):
    torch.manual_seed(0)
    model = BertForSequenceClassification(SMALL, 5, head)
    F.cross_entropy(model(*flat([3, 8, 21])), torch.tensor([0, 4, 2])).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0
        for name, p in model.named_parameters()
        if "key.bias" not in name
    )


def test_layer_equals_torch_transformer_layer_in_float64():
    torch.manual_seed(0)
    config = replace(TINY, hidden_dropout_prob=0.0)
    reference = nn.TransformerEncoderLayer(
        32,
        4,
        64,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=False,
    ).double()
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours = BertLayer(config).double()
    attention, qkv = reference.self_attn, ("query", "key", "value")
    values = {
        f"attention.self.{name}.{kind}": part
        for kind in ("weight", "bias")
        for name, part in zip(qkv, getattr(attention, f"in_proj_{kind}").chunk(3))
    }
    for name, module in (
        ("attention.output.dense", attention.out_proj),
        ("attention.output.LayerNorm", reference.norm1),
        ("intermediate.dense", reference.linear1),
        ("output.dense", reference.linear2),
        ("output.LayerNorm", reference.norm2),
    ):
        values |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    ours.load_state_dict(values)
    hidden = torch.randn(3, 11, 32, dtype=torch.float64)
    out = ours(hidden.flatten(0, 1), PackedLengths.of([11, 11, 11])).view_as(hidden)
    assert (out - reference(hidden)).abs().max() < 1e-12


def test_packed_documents_equal_each_alone():
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).double().eval()
    lengths = [4, 9, 9, 1, 30]
    ids, positions, lengths = flat(lengths)
    packed = model(ids, positions, lengths, torch.arange(len(ids)))
    alone = [
        model(
            document,
            torch.arange(len(document)),
            PackedLengths.of([len(document)]),
            torch.arange(len(document)),
        )
        for document in ids.split(lengths)
    ]
    assert (packed - torch.cat(alone)).abs().max() < 1e-12


def test_the_last_layer_works_on_the_targets_alone():
    torch.manual_seed(0)
    model, rows = BertForMaskedLM(SMALL).double().eval(), []
    for layer in model.bert.encoder.layer:
        layer.intermediate["dense"].register_forward_hook(
            lambda module, inputs, output: rows.append(len(output))
        )
    batch, words = flat([5, 20, 9]), model.bert.embeddings.word_embeddings.weight
    for chosen in (torch.tensor([30, 2, 2, 7]), torch.tensor([], dtype=torch.long)):
        rows.clear()
        results = model(*batch, chosen), model.cls["predictions"](model.bert(*batch)[chosen], words)
        assert rows == [34, len(chosen), 34, 34] and results[0].shape == (len(chosen), 120)
        torch.testing.assert_close(*results, atol=1e-12, rtol=0)
        for one, other in zip(
            *(
                torch.autograd.grad(logits.square().sum(), list(model.parameters()))
                for logits in results
            )
        ):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_padded_convenience_equals_flat_and_is_zero_where_padded():
    torch.manual_seed(0)
    bert = BertModel(SMALL).eval()
    ids, positions, lengths = flat([3, 7])
    padded = torch.zeros(2, 7, dtype=torch.long)
    padded[0, 4:], padded[1] = ids[:3], ids[3:]  # padding on the left is fine too
    mask = torch.tensor([[0] * 4 + [1] * 3, [1] * 7])
    hidden = encode_padded(bert, padded, mask)
    torch.testing.assert_close(hidden[mask.bool()], bert(ids, positions, lengths))
    assert (hidden[0, :4] == 0).all()


def test_bf16_autocast_stays_near_fp32():
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).eval()
    ids, positions, lengths = flat([5, 20, 64])
    exact = model(ids, positions, lengths, torch.arange(len(ids)))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(ids, positions, lengths, torch.arange(len(ids)))
    gap = (exact - rounded.float()).abs().max()
    assert 0 < gap < 2e-2


def test_dropout_acts_in_training_and_not_in_evaluation():
    torch.manual_seed(0)
    model = BertForMaskedLM(replace(SMALL, hidden_dropout_prob=0.3))
    batch = (*flat([5, 20]), torch.arange(25))
    assert not torch.equal(model(*batch), model(*batch))
    model.eval()
    assert torch.equal(model(*batch), model(*batch))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.0, 1.0])
def test_dropout_drops_its_share_scales_the_rest_and_is_keyed_by_the_seed(p):
    dropout, ones = Dropout(p), torch.ones(1001, 999, requires_grad=True)
    torch.manual_seed(0)
    out = dropout(ones)
    torch.manual_seed(0)
    assert torch.equal(dropout(ones), out)
    dropped = (out == 0).double()
    assert abs(dropped.mean() - p) < 2e-3 and (
        p == 1 or torch.allclose(out[out > 0], torch.tensor(1 / (1 - p)))
    )
    if 0 < p < 1:
        neighbours = (
            (dropped[:, 1:] * dropped[:, :-1]).mean(),
            (dropped[:, 4:] * dropped[:, :-4]).mean(),
            (dropped[1:] * dropped[:-1]).mean(),
        )
        assert all(abs(both - p * p) < 2e-3 for both in neighbours), "each element on its own"
    assert (
        torch.equal(torch.autograd.grad(out.sum(), ones)[0], out.detach())
        and dropout(ones.bfloat16()).dtype == torch.bfloat16
    )


def test_recomputing_layers_changes_no_gradient_even_with_dropout():
    torch.manual_seed(0)
    model = BertForMaskedLM(replace(SMALL, hidden_dropout_prob=0.3))
    batch, gradients = (*flat([5, 20]), torch.arange(0, 25, 3)), []
    for recompute in (False, True):
        model.bert.encoder.gradient_checkpointing = recompute
        model.zero_grad()
        torch.manual_seed(3)
        model(*batch).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients))


def kernel_stand_in(q, k, v, offsets, _, longest, __):
    """What the kernel computes, in operations that a CPU has and torch.compile can trace."""
    place = torch.arange(len(q))
    document = torch.bucketize(place, offsets[1:], right=True)
    apart = (document[:, None] != document[None, :]) | (
        (place[:, None] - place[None, :]).abs() >= longest
    )
    return masked_attention(q, k, v, apart)


@pytest.mark.parametrize("kernel", [False, True])
def test_compiling_changes_no_output_and_is_over_after_three_padded_batches(monkeypatch, kernel):
    torch._dynamo.reset()
    q, lengths = torch.randn(10, 2, 8), PackedLengths.of([3, 7])
    torch.testing.assert_close(
        kernel_stand_in(q, q, q, lengths.cu_seqlens, lengths.cu_seqlens, 7, 7),
        attend(q, q, q, lengths),
    )
    monkeypatch.setattr(attention, "varlen_attn", kernel_stand_in)
    monkeypatch.setattr(attention, "has_flash", lambda device: kernel)
    torch.manual_seed(0)
    model, counter = (
        BertForMaskedLM(SMALL).eval().to(torch.bfloat16 if kernel else torch.float32),
        CompileCounter(),
    )
    compiled, counts = torch.compile(model, backend=counter), []
    for lengths in (
        [3, 7],
        [2, 2, 9, 40],
        [5] * 7,
        [1, 8, 8, 20, 30],
        [64],
        [2] * 12,
        list(range(1, 14)),
        [4] * 25,
    ):
        targets = torch.arange(0, sum(lengths), 2)
        batch = MlmBatch(*flat(lengths), targets, targets).padded_to(100, 0)
        inputs = batch.input_ids, batch.position_ids, batch.lengths, batch.target_positions
        torch.testing.assert_close(compiled(*inputs), model(*inputs), atol=1e-5, rtol=0)
        counts.append(counter.frame_count)
    assert counts[-1] == counts[2] > 0, counts
    assert counts[0] == 1 or not kernel, "with the kernel the model is one graph"


def test_padding_a_micro_batch_changes_no_logit():
    torch.manual_seed(0)
    model, (ids, positions, lengths) = BertForMaskedLM(SMALL).eval(), flat([3, 7, 12])
    batch = MlmBatch(ids, positions, lengths, torch.tensor([1, 20]), ids[[1, 20]]).padded_to(60, 0)
    assert (
        len(batch.input_ids) == 60
        and batch.lengths.seqlens == (3, 7, 12, 12, 12, 12, 2)
        and batch.position_ids.max() == 11
    )
    torch.testing.assert_close(
        model(batch.input_ids, batch.position_ids, batch.lengths, batch.target_positions),
        model(ids, positions, lengths, batch.target_positions),
    )
    assert batch.padded_to(60, 0).lengths.seqlens == batch.lengths.seqlens, (
        "a full one stays as it is"
    )


def test_a_vocabulary_padded_inside_the_product_changes_neither_logits_nor_gradients():
    torch.manual_seed(0)
    inputs = [torch.randn(*shape, requires_grad=True) for shape in ((5, 8), (67, 8), (67,))]
    upstream, results = torch.randn(5, 67), []
    for multiple in (1, 64):
        logits = decode(*inputs, multiple)
        results.append((logits, *torch.autograd.grad(logits, inputs, upstream)))
    assert results[1][0]._base.shape == (5, 128), "the product itself is of the padded vocabulary"
    for plain, padded in zip(*results):
        torch.testing.assert_close(plain, padded)


def test_initialisation_is_berts():
    torch.manual_seed(0)
    model = BertForMaskedLM(config_of_size("mini", vocab_size=5000))
    weight = model.bert.encoder.layer[0].intermediate["dense"].weight
    assert (
        abs(weight.std() - 0.02) < 5e-4
        and (model.bert.embeddings.word_embeddings.weight[0] == 0).all()
    )
    assert all(
        (p == (1 if "LayerNorm" in name else 0)).all()
        for name, p in model.named_parameters()
        if p.ndim == 1 and name.endswith(("weight", "bias")) and not name.endswith("LayerNorm.bias")
    )


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "roberta"}, "model_type"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder"),
        ({"hidden_act": "swish"}, "hidden_act 'swish'"),
        ({"hidden_size": 10, "num_attention_heads": 4}, "no multiple"),
        ({"num_hidden_layers": 0}, "at least 1"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
    ],
)
def test_a_config_of_another_model_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        BertConfig.from_dict(values)
