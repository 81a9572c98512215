import dataclasses
import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

from beautybert.bert import attention
from beautybert.bert.attention import PackedLengths, attend
from beautybert.bert.model import (
    ACTIVATIONS,
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
    flatten_padded,
)
from beautybert.bert.pretrained import canonical_keys, load_weights
from beautybert.mlm.batches import MlmBatch
from tests.conftest import TINY, masked_attention

SMALL = replace(TINY, vocab_size=120, hidden_dropout_prob=0.0)


def packed(seqlens, vocab_size=120):
    """Random documents: ids (N,), positions (N,), lengths."""
    ids = torch.randint(5, vocab_size, (sum(seqlens),))
    positions = torch.cat([torch.arange(length) for length in seqlens])
    return ids, positions, PackedLengths.of(seqlens)


def padded(ids, seqlens):
    """Packed documents (N,) as others take them: ids (B, T) and their 0/1 mask (B, T)."""
    rows = torch.zeros(len(seqlens), max(seqlens), dtype=torch.long)
    mask = torch.zeros_like(rows)
    for row, document in enumerate(ids.split(list(seqlens))):
        rows[row, : len(document)] = document
        mask[row, : len(document)] = 1
    return rows, mask


def check_gradients(ours, theirs):
    """Every parameter of ours has the gradient of theirs of that name."""
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        gap = (parameter.grad - expected[name]).abs().max()
        assert gap <= 1e-5, name


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

    seqlens = sorted(rng.randint(1, 24) for _ in range(rng.randint(1, 6)))
    ids, positions, lengths = packed(seqlens, config.vocab_size)
    rows, mask = padded(ids, seqlens)
    chosen = torch.randperm(len(ids))[: rng.randint(1, len(ids))]
    targets = torch.randint(0, config.vocab_size, chosen.shape)

    logits = ours(ids, positions, lengths, chosen)
    expected = theirs(input_ids=rows, attention_mask=mask).logits[mask.bool()][chosen]
    assert (logits - expected).abs().max() < 1e-5
    for out in (logits, expected):
        F.cross_entropy(out, targets).backward()
    check_gradients(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
def test_pooler_head_and_its_gradients_equal_those_of_transformers(seed):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    config = replace(SMALL, num_attention_heads=2)
    their_config = transformers.BertConfig(**config.to_dict(), num_labels=9)
    theirs = transformers.BertForSequenceClassification(their_config).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = BertForSequenceClassification(config, 9).eval()
    load_weights(ours, canonical_keys(theirs.state_dict())[0])

    seqlens = [3, 8, 8, 21]
    ids, positions, lengths = packed(seqlens)
    rows, mask = padded(ids, seqlens)
    logits = ours(ids, positions, lengths)
    expected = theirs(input_ids=rows, attention_mask=mask).logits
    assert (logits - expected).abs().max() < 1e-5
    for out in (logits, expected):
        F.cross_entropy(out, torch.tensor([0, 8, 3, 3])).backward()
    check_gradients(ours, theirs)


def classifier_of(head):
    torch.manual_seed(0)
    return BertForSequenceClassification(SMALL, 5, head).double().eval()


def test_the_mlp_head_is_dense_layers_on_cls_and_the_mean():
    model = classifier_of("mlp")
    seqlens = [3, 8, 21]
    batch = packed(seqlens)
    documents = model.bert(*batch).split(seqlens)
    features = torch.stack([torch.cat([document[0], document.mean(0)]) for document in documents])
    dense = F.gelu(model.classifier["dense"](features))
    expected = model.classifier["out_proj"](dense)
    torch.testing.assert_close(model(*batch), expected, atol=1e-12, rtol=0)


def test_the_mlm_logits_head_is_one_layer_on_the_vocabulary_logits_of_cls():
    model = classifier_of("mlm-logits")
    seqlens = [3, 8, 21]
    batch = packed(seqlens)
    first = torch.stack([document[0] for document in model.bert(*batch).split(seqlens)])
    words = model.bert.embeddings.word_embeddings.weight
    vocabulary_logits = model.cls["predictions"](first, words)
    assert vocabulary_logits.shape == (3, 120)
    assert model.classifier.in_features == 120
    expected = model.classifier(vocabulary_logits)
    torch.testing.assert_close(model(*batch), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_every_parameter_it_has(head):
    torch.manual_seed(0)
    model = BertForSequenceClassification(SMALL, 5, head)
    F.cross_entropy(model(*packed([3, 8, 21])), torch.tensor([0, 4, 2])).backward()
    for name, p in model.named_parameters():
        if "key.bias" not in name:  # softmax takes no notice of it
            assert p.grad is not None and p.grad.abs().sum() > 0, name


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
    values = {}
    for kind in ("weight", "bias"):
        parts = getattr(reference.self_attn, f"in_proj_{kind}").chunk(3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            values[f"attention.self.{name}.{kind}"] = part
    for name, module in (
        ("attention.output.dense", reference.self_attn.out_proj),
        ("attention.output.LayerNorm", reference.norm1),
        ("intermediate.dense", reference.linear1),
        ("output.dense", reference.linear2),
        ("output.LayerNorm", reference.norm2),
    ):
        values |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    ours = BertLayer(config).double()
    ours.load_state_dict(values)
    hidden = torch.randn(3, 11, 32, dtype=torch.float64)
    out = ours(hidden.flatten(0, 1), PackedLengths.of([11, 11, 11])).view_as(hidden)
    assert (out - reference(hidden)).abs().max() < 1e-12


def test_packed_documents_equal_each_alone():
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).double().eval()
    seqlens = [4, 9, 9, 1, 30]
    ids, positions, lengths = packed(seqlens)
    together = model(ids, positions, lengths, torch.arange(len(ids)))
    alone = []
    for document in ids.split(seqlens):
        T = len(document)
        alone.append(model(document, torch.arange(T), PackedLengths.of([T]), torch.arange(T)))
    assert (together - torch.cat(alone)).abs().max() < 1e-12


@pytest.mark.parametrize("targets", [[30, 2, 2, 7], []])
def test_the_last_layer_works_on_the_targets_alone(targets):
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).double().eval()
    rows = []
    for layer in model.bert.encoder.layer:
        layer.intermediate["dense"].register_forward_hook(
            lambda module, inputs, output: rows.append(len(output))
        )
    batch = packed([5, 20, 9])
    chosen = torch.tensor(targets, dtype=torch.long)
    logits = model(*batch, chosen)
    words = model.bert.embeddings.word_embeddings.weight
    expected = model.cls["predictions"](model.bert(*batch)[chosen], words)
    assert rows == [34, len(chosen), 34, 34]
    assert logits.shape == (len(chosen), 120)
    torch.testing.assert_close(logits, expected, atol=1e-12, rtol=0)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(logits.square().sum(), parameters)
    expected_gradients = torch.autograd.grad(expected.square().sum(), parameters)
    for ours, reference in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-10, rtol=1e-10)


def test_padded_convenience_equals_packed_and_is_zero_at_padding():
    torch.manual_seed(0)
    bert = BertModel(SMALL).eval()
    ids, positions, lengths = packed([3, 7])
    rows = torch.zeros(2, 7, dtype=torch.long)
    rows[0, 4:] = ids[:3]  # padding on the left is fine too
    rows[1] = ids[3:]
    mask = torch.tensor([[0] * 4 + [1] * 3, [1] * 7])
    hidden = encode_padded(bert, rows, mask)
    torch.testing.assert_close(hidden[mask.bool()], bert(ids, positions, lengths))
    assert (hidden[0, :4] == 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_heads_see_no_padding(head):
    torch.manual_seed(0)
    seqlens = (3, 7, 5)
    model = BertForSequenceClassification(SMALL, 4, head).eval()
    ids, positions, lengths = packed(seqlens)
    rows, mask = padded(ids, seqlens)
    rows[mask == 0] = 7  # any token
    logits = model(*flatten_padded(rows, mask))
    torch.testing.assert_close(logits, model(ids, positions, lengths), atol=1e-5, rtol=0)


def test_bf16_autocast_stays_near_fp32():
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).eval()
    ids, positions, lengths = packed([5, 20, 64])
    exact = model(ids, positions, lengths, torch.arange(len(ids)))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(ids, positions, lengths, torch.arange(len(ids)))
    gap = (exact - rounded.float()).abs().max()
    assert 0 < gap < 2e-2


def test_dropout_acts_in_training_and_not_in_evaluation():
    torch.manual_seed(0)
    model = BertForMaskedLM(replace(SMALL, hidden_dropout_prob=0.3))
    batch = (*packed([5, 20]), torch.arange(25))
    assert not torch.equal(model(*batch), model(*batch))
    model.eval()
    assert torch.equal(model(*batch), model(*batch))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.0, 1.0])
def test_dropout_drops_its_share_scales_the_rest_and_is_keyed_by_the_seed(p):
    dropout = Dropout(p)
    ones = torch.ones(1001, 999, requires_grad=True)
    torch.manual_seed(0)
    out = dropout(ones)
    torch.manual_seed(0)
    assert torch.equal(dropout(ones), out)
    dropped = (out == 0).double()
    assert abs(dropped.mean() - p) < 2e-3
    if p < 1:
        assert torch.allclose(out[out > 0], torch.tensor(1 / (1 - p)))
    if 0 < p < 1:
        both_dropped = (
            (dropped[:, 1:] * dropped[:, :-1]).mean(),
            (dropped[:, 4:] * dropped[:, :-4]).mean(),
            (dropped[1:] * dropped[:-1]).mean(),
        )
        assert all(abs(share - p * p) < 2e-3 for share in both_dropped), "each element on its own"
    assert torch.equal(torch.autograd.grad(out.sum(), ones)[0], out.detach())
    assert dropout(ones.bfloat16()).dtype == torch.bfloat16


def test_recomputing_layers_changes_no_gradient_even_with_dropout():
    torch.manual_seed(0)
    model = BertForMaskedLM(replace(SMALL, hidden_dropout_prob=0.3))
    batch = (*packed([5, 20]), torch.arange(0, 25, 3))
    gradients = []
    for recompute in (False, True):
        model.bert.encoder.gradient_checkpointing = recompute
        model.zero_grad()
        torch.manual_seed(3)
        model(*batch).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for stored, recomputed in zip(*gradients, strict=True):
        assert torch.equal(stored, recomputed)


# ---- compiled and padded -----------------------------------------------------------------------


def kernel_stand_in(q, k, v, cu_seqlens, _, max_seqlen, __):
    """What the kernel computes, in operations that a CPU has and torch.compile can trace."""
    position = torch.arange(len(q))
    document = torch.bucketize(position, cu_seqlens[1:], right=True)
    other_document = document[:, None] != document[None, :]
    too_far = (position[:, None] - position[None, :]).abs() >= max_seqlen
    return masked_attention(q, k, v, other_document | too_far)


def test_the_stand_in_for_the_kernel_computes_attention():
    torch.manual_seed(0)
    q = torch.randn(10, 2, 8)
    lengths = PackedLengths.of([3, 7])
    out = kernel_stand_in(q, q, q, lengths.cu_seqlens, lengths.cu_seqlens, 7, 7)
    torch.testing.assert_close(out, attend(q, q, q, lengths))


@pytest.mark.parametrize("kernel", [False, True])
def test_compiling_changes_no_output_and_is_over_after_three_padded_batches(monkeypatch, kernel):
    torch._dynamo.reset()
    monkeypatch.setattr(attention, "varlen_attn", kernel_stand_in)
    monkeypatch.setattr(attention, "has_flash", lambda device: kernel)
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).eval().to(torch.bfloat16 if kernel else torch.float32)
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter)
    counts = []
    for seqlens in (
        [3, 7],
        [2, 2, 9, 40],
        [5] * 7,
        [1, 8, 8, 20, 30],
        [64],
        [2] * 12,
        list(range(1, 14)),
        [4] * 25,
    ):
        targets = torch.arange(0, sum(seqlens), 2)
        batch = MlmBatch(*packed(seqlens), targets, targets, sum(seqlens)).padded_to(100, 0)
        expected = model(*batch.inputs)
        torch.testing.assert_close(compiled(*batch.inputs), expected, atol=1e-5, rtol=0)
        counts.append(counter.frame_count)
    assert counts[-1] == counts[2] > 0, counts
    if kernel:
        assert counts[0] == 1, "with the kernel the model is one graph"


def test_padding_a_micro_batch_changes_no_logit():
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).eval()
    ids, positions, lengths = packed([3, 7, 12])
    batch = MlmBatch(ids, positions, lengths, torch.tensor([1, 20]), ids[[1, 20]], num_tokens=22)
    longer = batch.padded_to(60, 0)
    assert len(longer.input_ids) == 60
    assert longer.num_tokens == 22
    assert longer.lengths.seqlens == (3, 7, 12, 12, 12, 12, 2)
    assert longer.position_ids.max() == 11
    torch.testing.assert_close(model(*longer.inputs), model(*batch.inputs))
    again = longer.padded_to(60, 0)
    assert again.lengths.seqlens == longer.lengths.seqlens, "a full one stays as it is"


def test_a_vocabulary_padded_inside_the_product_changes_neither_logits_nor_gradients():
    torch.manual_seed(0)
    inputs = [torch.randn(*shape, requires_grad=True) for shape in ((5, 8), (67, 8), (67,))]
    upstream = torch.randn(5, 67)
    results = []
    for multiple in (1, 64):
        logits = decode(*inputs, multiple)
        results.append((logits, *torch.autograd.grad(logits, inputs, upstream)))
    assert results[1][0]._base.shape == (5, 128), "the product itself is of the padded vocabulary"
    for plain, with_padding in zip(*results, strict=True):
        torch.testing.assert_close(plain, with_padding)


# ---- new weights, and configs ------------------------------------------------------------------


def test_initialisation_is_berts_but_for_positions():
    torch.manual_seed(0)
    config = config_of_size("mini", vocab_size=5000)
    model = BertForMaskedLM(config)
    weight = model.bert.encoder.layer[0].intermediate["dense"].weight
    assert abs(weight.std() - config.initializer_range) < 5e-4
    assert config_of_size("base", vocab_size=5000).initializer_range == 0.02
    positions = model.bert.embeddings.position_embeddings.weight
    assert positions.requires_grad
    root_mean_square = positions.detach().square().mean().sqrt()
    torch.testing.assert_close(root_mean_square, torch.tensor(config.initializer_range))
    # what two positions have in common depends on their distance alone
    products = positions.detach().double() @ positions.detach().double().T
    torch.testing.assert_close(products[3, 8], products[203, 208], rtol=1e-4, atol=1e-6)
    assert products[3, 4] > products[3, 8] > products[3, 40]
    assert (model.bert.embeddings.word_embeddings.weight[0] == 0).all()
    for name, p in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            assert (p == 1).all(), name
        elif name.endswith("bias"):
            assert (p == 0).all(), name


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "roberta"}, "model_type"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder"),
        ({"hidden_act": "mish"}, 'hidden_act "mish" is not supported'),
        ({"hidden_size": 10, "num_attention_heads": 4}, "no multiple"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, must be a whole number of at least 1"),
        ({"vocab_size": 5, "pad_token_id": 5}, "pad_token_id 5 is no id below vocab_size 5"),
    ],
)
def test_a_config_of_another_model_is_refused(values, message):
    with pytest.raises(ValueError, match=f"^f.json: .*{message}"):
        BertConfig.from_dict(values, "f.json")


@pytest.mark.parametrize("field", sorted(field.name for field in dataclasses.fields(BertConfig)))
def test_a_value_of_another_type_or_out_of_range_is_named(field):
    """With null, as if it were missing."""
    nothing = dict.fromkeys((field, "is_decoder", "model_type", "position_embedding_type"))
    assert BertConfig.from_dict(nothing) == BertConfig()
    good = getattr(BertConfig(), field)
    wrong = [[good], {"a": good}, True]
    if isinstance(good, str):
        wrong.append(5)
    else:
        wrong += [str(good), 10**30, float("nan"), -1]
    if isinstance(good, int):
        wrong.append(2.5)
    for value in wrong:
        with pytest.raises(ValueError, match=rf"^f.json: .*\b{field} .*") as caught:
            BertConfig.from_dict({field: value}, "f.json")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_are_those_of_transformers(name):
    activations = pytest.importorskip("transformers.activations")
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(ACTIVATIONS[name](x), activations.ACT2FN[name](x), atol=1e-6, rtol=0)
