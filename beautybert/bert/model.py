"""BERT (Devlin et al. 2019, arXiv:1810.04805) over flat tokens, written out by hand.

Every layer sees a row of N real tokens, never padding; only `attend` knows which document a token
belongs to. Parameter names are those of the published checkpoints, so `state_dict()` is the
interchange format. Weights are read and written in pretrained.py.

Letters: N tokens in the micro-batch, B documents, T length, D hidden, H heads, K head size, V
vocabulary, M targets, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from beautybert.bert.attention import PackedLengths, attend, backend_name
from beautybert.files import shown, value_of

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_fast": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
}

# The least and the largest value that a field of config.json may have.
LIMITS = {
    "vocab_size": (1, 10_000_000),
    "hidden_size": (1, 65_536),
    "num_hidden_layers": (1, 1_000),
    "num_attention_heads": (1, 4_096),
    "intermediate_size": (1, 1_000_000),
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "max_position_embeddings": (1, 1_000_000),
    "type_vocab_size": (1, 1_000),
    "initializer_range": (0, 100),
    "layer_norm_eps": (0, 1),
    "pad_token_id": (0, 10_000_000),
}


@dataclass(frozen=True)
class BertConfig:
    """The fields of a BERT checkpoint's config.json that shape the computation.

    BERT-base by default.

    vocab_size: V, rows of the word embeddings. hidden_size: D, numbers in a hidden state.
    num_hidden_layers: transformer layers. num_attention_heads: H, each of hidden_size / H numbers.
    intermediate_size: numbers between the two matrices of a feed-forward block. hidden_act:
    activation there and in the MLM head. hidden_dropout_prob: share of hidden numbers set to 0 in
    training. attention_probs_dropout_prob: kept for other readers of the file, not applied (see
    attention.py). max_position_embeddings: tokens of the longest document. type_vocab_size: token
    types, of which only type 0 is used. initializer_range: standard deviation of new weights.
    layer_norm_eps: added to variances. pad_token_id: id whose new embedding is 0.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self):
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            supported = ", ".join(ACTIVATIONS)
            raise ValueError(
                f"hidden_act {shown(self.hidden_act)} is not supported; supported: {supported}"
            )
        if self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"pad_token_id {self.pad_token_id} is no id below vocab_size {self.vocab_size}"
            )

    @property
    def head_size(self) -> int:
        """K."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: dict, where: str = "config.json") -> BertConfig:
        """From the contents of config.json; a field that is missing or null has its default.

        ValueError that begins with `where` if a value is of another type or out of its `LIMITS`,
        and if it describes a model that this one is not.
        """
        expected = {
            "model_type": "bert",
            "position_embedding_type": "absolute",
            "is_decoder": False,
            "add_cross_attention": False,
        }
        for key, value in expected.items():
            if values.get(key) not in (None, value):
                raise ValueError(
                    f"{where}: {key} is {shown(values[key])}; only {shown(value)} is supported"
                )
        given = {}
        for field in fields(cls):
            kind: Any = type(field.default)
            low, high = LIMITS.get(field.name, (None, None))
            found = value_of(
                values, field.name, kind, where, default=field.default, at_least=low, at_most=high
            )
            given[field.name] = kind(found)  # a float may be written as 0
        try:
            return cls(**given)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def with_dropout(self, probability: float | None) -> BertConfig:
        """The same shape with another dropout of hidden states; None: its own."""
        if probability is None:
            return self
        return replace(self, hidden_dropout_prob=probability)

    def to_dict(self) -> dict:
        """As config.json holds it, `model_type` included."""
        return {"model_type": "bert", **asdict(self)}


# (layers, hidden size); heads of 64, intermediate size 4 x hidden. Turc et al. 2019,
# arXiv:1908.08962, table 1
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}


def config_of_size(name: str, vocab_size: int, max_position_embeddings: int = 512) -> BertConfig:
    """The BERT of one of the published `SIZES`.

    Narrower ones start with larger weights, wider ones with smaller, so that a layer's output is to
    its input as in the BERT of 768 for which 0.02 was chosen.
    """
    layers, hidden = SIZES[name]
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_position_embeddings,
        initializer_range=0.02 * math.sqrt(768 / hidden),
    )


class Dropout(nn.Dropout):
    """Dropout that on a CPU draws 16 bits an element, which is faster than torch's own.

    The probability is rounded to a multiple of 1 / 65,536.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        dropped = round(self.p * 2**16)
        on_cpu = hidden.device.type == "cpu" and not torch.compiler.is_compiling()
        if not self.training or dropped in (0, 2**16) or not on_cpu:
            return super().forward(hidden)
        words = torch.empty(hidden.numel() // 4 + 1, dtype=torch.int64)
        bits = words.random_(-(2**63), None).view(torch.int16)  # all 64 bits are drawn
        kept = bits[: hidden.numel()].view(hidden.shape) >= dropped - 2**15
        return hidden * kept.to(hidden.dtype).mul_(2**16 / (2**16 - dropped))


class BertEmbeddings(nn.Module):
    """Word + position + token type (always 0: one text a document), layer norm, dropout."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(
            config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """(N,), (N,) -> (N, D)."""
        embeddings = self.word_embeddings(input_ids) + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings + self.token_type_embeddings.weight[0]))


class BertSelfAttention(nn.Module):
    """Queries, keys and values of every head, attended inside each document."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, lengths: PackedLengths) -> Tensor:
        """(N, D) -> (N, D)."""
        N, D = hidden.shape
        heads = (N, self.heads, D // self.heads)  # (N, H, K)
        q, k, v = (project(hidden).view(heads) for project in (self.query, self.key, self.value))
        return attend(q, k, v, lengths).reshape(N, D)


class AddAndNorm(nn.Module):
    """Dense, dropout, residual, layer norm: the end of both halves of a layer."""

    def __init__(self, inputs: int, config: BertConfig):
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, residual: Tensor) -> Tensor:
        """(N, inputs), (N, D) -> (N, D)."""
        return self.LayerNorm(self.dropout(self.dense(hidden)) + residual)


class BertLayer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": BertSelfAttention(config), "output": AddAndNorm(config.hidden_size, config)}
        )
        self.intermediate = nn.ModuleDict(
            {"dense": nn.Linear(config.hidden_size, config.intermediate_size)}
        )
        self.output = AddAndNorm(config.intermediate_size, config)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, hidden: Tensor, lengths: PackedLengths, rows: Tensor | None = None) -> Tensor:
        """(N, D) -> (N, D); with `rows` (M,), only those tokens: (M, D).

        After the attention no token needs another, so the rest is computed for `rows` alone.
        """
        attended = self.attention["self"](hidden, lengths)
        if rows is not None:
            attended, hidden = attended[rows], hidden[rows]
        hidden = self.attention["output"](attended, hidden)
        return self.output(self.activation(self.intermediate["dense"](hidden)), hidden)


class BertEncoder(nn.Module):
    """The stack of layers.

    With `gradient_checkpointing` each layer is computed again in the backward pass: about a third
    more time for the memory of its activations.
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.gradient_checkpointing = False

    def forward(self, hidden: Tensor, lengths: PackedLengths, rows: Tensor | None = None) -> Tensor:
        """(N, D) -> (N, D); with `rows` (M,), only those tokens of the last layer: (M, D)."""
        for layer in self.layer:
            layer_rows = rows if layer is self.layer[-1] else None
            if self.gradient_checkpointing and self.training:
                hidden = checkpoint(layer, hidden, lengths, layer_rows, use_reentrant=False)
            else:
                hidden = layer(hidden, lengths, layer_rows)
        return hidden


class BertModel(nn.Module):
    """Embeddings and encoder; with `pooler`, also the dense layer that classifiers put on [CLS].

    MLM training does not use the pooler, but keeps it untouched, so that a classifier gets it back.
    """

    def __init__(self, config: BertConfig, pooler: bool = True):
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler: Any = None
        if pooler:
            dense = nn.Linear(config.hidden_size, config.hidden_size)
            self.pooler = nn.ModuleDict({"dense": dense})

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        lengths: PackedLengths,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Token ids (N,) and positions in their documents (N,) -> last hidden states (N, D).

        With `rows` (M,), only the hidden states of those tokens, (M, D), for less work.
        """
        return self.encoder(self.embeddings(input_ids, position_ids), lengths, rows)


class BertLMPredictionHead(nn.Module):
    """Dense, activation, layer norm, then the transposed word embeddings as decoder.

    The decoder's matrix is passed in (Press & Wolf 2017, arXiv:1608.05859). It is tied by use, so
    there is one copy to train and to save.
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        self.transform = nn.ModuleDict(
            {
                "dense": nn.Linear(config.hidden_size, config.hidden_size),
                "LayerNorm": nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps),
            }
        )
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """(M, D), (V, D) -> logits (M, V)."""
        hidden = self.transform["LayerNorm"](self.activation(self.transform["dense"](hidden)))
        return decode(hidden, word_embeddings, self.bias, multiple=64 if hidden.is_cuda else 1)


def decode(hidden: Tensor, word_embeddings: Tensor, bias: Tensor, multiple: int) -> Tensor:
    """(M, D), (V, D), (V,) -> logits (M, V), by a product with V padded to a `multiple`.

    With BERT's V of 30,522 most rows of the logits miss the alignment of 16 bytes that matrix units
    want (NVIDIA, Matrix Multiplication Background User's Guide, section 3).
    """
    V = len(word_embeddings)
    missing = -V % multiple
    if missing:
        word_embeddings = F.pad(word_embeddings, (0, 0, 0, missing))
        bias = F.pad(bias, (0, missing))
    return F.linear(hidden, word_embeddings, bias)[:, :V]


class BertForMaskedLM(nn.Module):
    """BERT with the masked-language-model head."""

    def __init__(self, config: BertConfig, pooler: bool = False):
        super().__init__()
        self.config = config
        self.bert = BertModel(config, pooler)
        self.cls = nn.ModuleDict({"predictions": BertLMPredictionHead(config)})
        init_weights(self, config)
        if self.bert.pooler is not None:  # it gets no gradient, and DDP would wait for one
            self.bert.pooler.requires_grad_(False)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        lengths: PackedLengths,
        target_positions: Tensor,
    ) -> Tensor:
        """Ids (N,), positions (N,) and which of the tokens to predict (M,) -> logits (M, V)."""
        hidden = self.bert(input_ids, position_ids, lengths, rows=target_positions)  # (M, D)
        return self.cls["predictions"](hidden, self.bert.embeddings.word_embeddings.weight)


HEADS = ("pooler", "mlp", "mlm-logits")


class BertForSequenceClassification(nn.Module):
    """BERT with one of `HEADS`, which says to which class a document belongs.

    pooler: dense, tanh, dropout, dense on [CLS], as published and as transformers names it. mlp:
    dropout and dense layers on [CLS] and the mean of all tokens. mlm-logits: one dense layer on the
    vocabulary logits of [CLS], for comparison: V inputs say less than the D that they are computed
    from.
    """

    def __init__(self, config: BertConfig, classes: int, head: str = "pooler"):
        super().__init__()
        assert head in HEADS
        D = config.hidden_size
        self.config = config
        self.head = head
        self.bert = BertModel(config, pooler=head == "pooler")
        self.dropout = Dropout(config.hidden_dropout_prob)
        if head == "pooler":
            self.classifier: Any = nn.Linear(D, classes)
        elif head == "mlp":
            self.classifier = nn.ModuleDict(
                {"dense": nn.Linear(2 * D, D), "out_proj": nn.Linear(D, classes)}
            )
        elif head == "mlm-logits":
            self.cls = nn.ModuleDict({"predictions": BertLMPredictionHead(config)})
            self.classifier = nn.Linear(config.vocab_size, classes)
        init_weights(self, config)

    def forward(self, input_ids: Tensor, position_ids: Tensor, lengths: PackedLengths) -> Tensor:
        """Ids (N,) and positions (N,) -> logits (B, C), a row for each document."""
        starts = lengths.cu_seqlens[:-1]  # (B,): [CLS]
        if self.head == "mlp":
            hidden = self.bert(input_ids, position_ids, lengths)  # (N, D)
            features = torch.cat([hidden[starts], mean_of_documents(hidden, lengths)], dim=-1)
            dense = F.gelu(self.classifier["dense"](self.dropout(features)))  # (B, 2 D) -> (B, D)
            return self.classifier["out_proj"](self.dropout(dense))
        first = self.bert(input_ids, position_ids, lengths, rows=starts)  # (B, D)
        if self.head == "pooler":
            pooled = torch.tanh(self.bert.pooler["dense"](first))
            return self.classifier(self.dropout(pooled))
        assert self.head == "mlm-logits"
        word_embeddings = self.bert.embeddings.word_embeddings.weight  # (V, D)
        return self.classifier(self.cls["predictions"](first, word_embeddings))


def mean_of_documents(hidden: Tensor, lengths: PackedLengths) -> Tensor:
    """The mean over each document's tokens, [CLS] and [SEP] with them: (N, D) -> (B, D)."""
    if lengths.mask is not None:
        real = lengths.mask[..., None].to(hidden.dtype)  # (B, T, 1)
        return (hidden.view(*lengths.mask.shape, -1) * real).sum(1) / real.sum(1)
    counts = lengths.cu_seqlens.diff()  # (B,)
    indices = torch.arange(len(counts), device=hidden.device)
    document = torch.repeat_interleave(indices, counts, output_size=len(hidden))  # (N,)
    sums = hidden.new_zeros(len(counts), hidden.shape[-1]).index_add(0, document, hidden)
    return sums / counts[:, None]


def init_weights(model: nn.Module, config: BertConfig) -> None:
    """BERT's initialisation: matrices and embeddings from N(0, initializer_range), biases 0.

    Layer norms keep torch's 1 and 0. Other than BERT's, position embeddings start as waves of the
    same size (`sinusoids`) and are trained from there: random ones take far more steps until a
    token finds its neighbours (docs/results.md).
    """
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
    for module in model.modules():
        if isinstance(module, BertEmbeddings):
            waves = sinusoids(*module.position_embeddings.weight.shape)
            module.position_embeddings.weight.data = waves * config.initializer_range


def sinusoids(positions: int, hidden_size: int) -> Tensor:
    """(positions, D): sines and cosines of falling frequency, with a mean square of 1.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5, times the square root of 2.
    """
    frequencies = 10_000.0 ** (-torch.arange(0, hidden_size, 2) / hidden_size)  # (D / 2,)
    angles = torch.arange(positions)[:, None] * frequencies  # (positions, D / 2)
    waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    return math.sqrt(2) * waves[:, :hidden_size]


def flatten_padded(
    input_ids: Tensor, attention_mask: Tensor
) -> tuple[Tensor, Tensor, PackedLengths]:
    """Padded ids (B, T) and their 0/1 mask (B, T) as the models take them, padding included.

    Logits and hidden states at padding mean nothing. The heads of classifiers find [CLS] where the
    padding is on the right.
    """
    position_ids = (attention_mask.cumsum(1) - 1).clamp(min=0)  # (B, T)
    return input_ids.flatten(), position_ids.flatten(), PackedLengths.padded(attention_mask)


def encode_padded(bert: BertModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Padded ids (B, T) and their 0/1 mask (B, T) -> hidden states (B, T, D), 0 at padding.

    For tests, notebooks and export.
    """
    hidden = bert(*flatten_padded(input_ids, attention_mask)).view(*input_ids.shape, -1)
    return hidden.masked_fill(~attention_mask.bool()[..., None], 0)


def num_parameters(model: nn.Module) -> int:
    """The number of weights that are trained."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(model: BertForMaskedLM | BertForSequenceClassification) -> int:
    """Floating-point operations of a training step for each token: 6 x the encoder's weights.

    Kaplan et al. 2020, arXiv:2001.08361, section 2.1. The scores of attention and the heads, which
    see few of the tokens, are left out: a few per cent of BERT-base or larger, but of a small model
    with a large vocabulary the head is most.
    """
    return 6 * num_parameters(model.bert.encoder)


def describe(
    model: BertForMaskedLM | BertForSequenceClassification,
    device: torch.device,
    dtype: torch.dtype | None,
) -> str:
    """Size and way of computing of a model, for people; `dtype` is autocast's, None for fp32."""
    config = model.config
    parameters = num_parameters(model)
    threads = torch.get_num_threads()
    place = str(device)
    if device.type == "cpu":
        place += f" with {threads} thread{'s' * (threads > 1)}"
    precision = str(dtype or torch.float32).removeprefix("torch.")
    head = f"head {model.head}, " if isinstance(model, BertForSequenceClassification) else ""
    return (
        f"model: {parameters:,} parameters, {config.num_hidden_layers} layers of "
        f"{config.hidden_size}, {head}vocabulary {config.vocab_size:,}, on {place} in "
        f"{precision}, attention by {backend_name(device, dtype, config.head_size)}"
    )
