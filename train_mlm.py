"""Continue pretraining BERT by masked language modelling on product texts.

    python train_mlm.py                                      # CPU, the sample in data/, a minute
    python train_mlm.py --data data/meta_All_Beauty.json.gz --init bert-base-uncased \\
        --out runs/beauty --batch-tokens 65536 --micro-batch-tokens 32768      # one GPU
    torchrun --nproc-per-node 8 train_mlm.py ...             # 8 GPUs: the same flags, a batch of
                                                             # 8 x 32768 tokens or a multiple

It writes to --out: the model in Hugging Face layout, run.json, metrics.jsonl, fill_mask.json,
checkpoints/ and, with the `plots` extra, loss.png. train_cls.py goes through the same phases.

Letters: N tokens in a micro-batch, M masked targets, V vocabulary.
"""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import CrossEntropyLoss
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.nn.utils import clip_grad_norm_

from beautybert.bert import model as bert_model
from beautybert.bert import model_folder, pretrained, token_units, wordpiece
from beautybert.mlm import added_tokens, batches, corpus, fill_mask, model_card, token_cache
from beautybert.training import (
    checkpoints,
    distributed,
    hardware,
    metrics,
    optim,
    options,
    precision,
    runlog,
    sample,
    seeding,
)
from beautybert.training.options import option

SAMPLE = sample.path_of("meta_All_Beauty.json.gz")
DEFAULTS = {  # by where the weights come from; tiny: for a minute on a CPU (docs/results.md)
    "tiny": {"mask_prob": 0.4, "mask_unit": "token", "lr": 3e-3, "dropout": 0.0},
    "scratch": {"mask_prob": 0.15, "mask_unit": "token", "lr": 3e-4},
    "checkpoint": {"mask_prob": 0.15, "mask_unit": "word", "lr": 3e-4},
}


@dataclass(frozen=True)
class MlmConfig:
    """The options of train_mlm.py; a `group` opens a section of --help.

    What depends on where the weights come from is None until `with_defaults`.
    """

    data: tuple[str, ...] = option(
        (SAMPLE,), "product metadata (.json, .jsonl), .csv, .txt, .parquet ...", group="data"
    )
    text_fields: tuple[str, ...] = option(
        corpus.TEXT_FIELDS, "fields of a record that are joined to its text"
    )
    max_bad_rows: float = option(
        0.01, "largest share of malformed rows that is skipped", ge=0, le=1
    )
    valid_fraction: float = option(
        0.02, "share of the documents held out for validation", gt=0, lt=1
    )
    max_length: int = option(
        128, "tokens of the longest window, [CLS] and [SEP] included", ge=3, le=65_536
    )
    cache_dir: str = option("~/.cache/beautybert", "folder of tokenised corpora")
    workers: int = option(0, "processes that tokenise; 0: one a CPU core", ge=0, le=1024)

    init: str = option("scratch", "checkpoint folder, hub name, or scratch", group="model")
    size: str = option("tiny", "size of a model from scratch", choices=tuple(bert_model.SIZES))
    vocab_size: int = option(
        2000, "tokens that a model from scratch learns from the data", gt=0, le=1_000_000
    )
    add_vocab: int = option(
        0, "words of the data that become tokens of an --init checkpoint", ge=0, le=1_000_000
    )
    add_names: int = option(
        0, "names between commas, such as ingredients, that become tokens", ge=0, le=1_000_000
    )
    dropout: float | None = option(None, "dropout of hidden states [its own, tiny 0]", ge=0, le=1)

    batch_tokens: int = option(
        None, "tokens of a step over all ranks [8192, tiny 512]", gt=0, le=10**9, group="batch"
    )
    micro_batch_tokens: int = option(
        None, "tokens of one forward pass on one rank [2048, tiny 512]", gt=0, le=10**9
    )
    mask_prob: float = option(
        None, "share of tokens masked in training [0.15, tiny 0.4]; validation: 0.15", gt=0, lt=1
    )
    mask_unit: str = option(
        None,
        "what is masked together [word, from scratch token]; validation: token",
        choices=tuple(token_units.UNITS),
    )

    epochs: float = option(
        10.0, "passes over the training documents", gt=0, le=1_000_000, group="optimization"
    )
    max_steps: int | None = option(
        None, "optimizer steps; 0: evaluate and export", ge=0, instead_of="epochs"
    )
    lr: float = option(None, "peak learning rate [3e-4, tiny 3e-3]", gt=0)
    warmup: float = option(0.06, "share of the steps in which the learning rate rises", ge=0, le=1)
    schedule: str = option("linear", "how the learning rate falls", choices=optim.SCHEDULES)
    weight_decay: float = option(0.01, "weight decay of matrices and embeddings", ge=0)
    clip: float = option(1.0, "largest gradient norm; 0: no clipping", ge=0)
    amp: str = option("auto", "mixed precision", choices=precision.AMP_MODES)
    compile: bool = option(False, "torch.compile, with micro-batches padded to one size")
    gradient_checkpointing: bool = option(False, "less memory for about a third more time")
    threads: int = option(0, "CPU threads; 0: by the model's size", ge=0, le=1024)
    seed: int = option(0, "seed of split, order, masks, dropout and new weights", ge=0)

    out: str = option(
        "runs/mlm", "run folder, new or empty unless --resume", group="evaluation and output"
    )
    resume: bool = option(False, "continue from the newest complete checkpoint in --out")
    eval_interval: int | None = option(
        None, "steps between evaluations [a tenth of the run]; 0: only first and last", ge=0
    )
    log_interval: int = option(20, "steps between training lines", gt=0)
    save_interval: int = option(500, "steps between checkpoints; 0: only the last", ge=0)
    keep: int = option(2, "number of checkpoints kept", gt=0)
    tensorboard: bool = option(False, "curves for TensorBoard (extra `tensorboard`)")
    profile: bool = option(False, "torch.profiler trace of the fourth to sixth step")


def with_defaults(config: MlmConfig, world_size: int) -> MlmConfig:
    """Fill in what depends on where the weights come from, on lengths and ranks."""
    kind = "checkpoint"
    if config.init == "scratch":
        kind = "tiny" if config.size == "tiny" else "scratch"
    sizes = (512, 512) if kind == "tiny" else (8192, 2048)
    batch, micro_batch = batches.fill_sizes(
        config.batch_tokens, config.micro_batch_tokens, sizes, config.max_length, world_size
    )
    filled: dict[str, Any] = {"batch_tokens": batch, "micro_batch_tokens": micro_batch}
    filled |= DEFAULTS[kind]
    given = {name: value for name, value in asdict(config).items() if value is not None}
    return replace(config, **(filled | given))


def conflicts(config: MlmConfig, world_size: int) -> list[str]:
    """What is wrong between options; the range of each alone is next to its field."""
    problems = options.not_a_multiple(config, "batch_tokens", "micro_batch_tokens", world_size)
    if config.init == "scratch" and (config.add_vocab or config.add_names):
        problems.append("--add-vocab and --add-names extend the vocabulary of an --init checkpoint")
    if config.micro_batch_tokens < config.max_length:
        problems.append(
            f"--micro-batch-tokens {config.micro_batch_tokens} is below --max-length "
            f"{config.max_length}: the longest window would not fit"
        )
    if config.tensorboard:
        problems += options.missing_extra("tensorboard")
    return problems


@dataclass
class Progress:
    """All that the loop changes, but for weights, optimizer and scaler; a checkpoint has it too."""

    step: int = 0
    tokens: int = 0
    valid: dict = field(default_factory=dict)  # the last evaluation


@distributed.entry_point(oom_hint="lower --micro-batch-tokens or add --gradient-checkpointing")
def main(config: MlmConfig) -> dict:
    """Train as `config` says; returns the final progress."""
    ranks = distributed.Ranks.from_environment()
    given, config = config, with_defaults(config, ranks.world_size)
    options.raise_problems(options.out_of_range(config) + conflicts(config, ranks.world_size))
    amp = precision.Amp(config.amp, ranks.device)
    out = Path(config.out)
    runlog.check_folder(out, config.resume, ranks)

    # ==== data ================================================================================
    texts = corpus.Corpus(config.data, config.text_fields, config.max_bad_rows)
    checkpoint = model_folder.resolve(config.init)  # None: start from scratch
    start = checkpoint or runlog.resumed(out, config.resume, wordpiece.read)
    base_tokenizer = token_cache.load_or_learn_tokenizer(
        start, texts, config.vocab_size, config.cache_dir, ranks
    )
    bert_config = pretrained.config_for(checkpoint, config.size, base_tokenizer, config.max_length)
    tokenizer = added_tokens.extend_tokenizer(
        base_tokenizer, texts, config.add_vocab, config.add_names, config.cache_dir, ranks
    )
    cache = token_cache.load_or_build(texts, tokenizer, config.workers, config.cache_dir, ranks)
    data = batches.MlmBatches(
        cache,
        tokenizer,
        batch_tokens=config.batch_tokens,
        micro_batch_tokens=config.micro_batch_tokens,
        max_length=config.max_length,
        mask_prob=config.mask_prob,
        mask_unit=config.mask_unit,
        valid_fraction=config.valid_fraction,
        pad_micro_batches=config.compile,
        seed=config.seed,
    )
    total_steps = data.steps(config.epochs) if config.max_steps is None else config.max_steps
    ranks.print0(added_tokens.describe(base_tokenizer, tokenizer), cache.counts)
    ranks.print0(data.summary(ranks.world_size, total_steps))
    ranks.print0(fill_mask.describe_masking(data.train_batch(1, 0), tokenizer))

    # ==== model ===============================================================================
    torch.manual_seed(config.seed)
    torch.set_float32_matmul_precision("high")
    bert_config = bert_config.with_dropout(config.dropout)
    model, load_report = pretrained.load_masked_lm(checkpoint, bert_config)
    added_tokens.initialize_embeddings(model, base_tokenizer, tokenizer)  # V grows
    model.bert.encoder.gradient_checkpointing = config.gradient_checkpointing
    model.to(ranks.device).train()
    hardware.set_threads(config.threads, model.bert.encoder, out, config.resume, ranks.world_size)
    ranks.print0(load_report, bert_model.describe(model, ranks.device, amp.dtype))

    # ==== optimizer ===========================================================================
    ranks.init_process_group()  # only now: building the cache may outlast a collective's timeout
    optimizer = optim.make_optimizer(model, config.lr, config.weight_decay)
    scaler = amp.grad_scaler()
    guard = precision.FiniteGuard(optimizer, scaler)
    criterion = CrossEntropyLoss(reduction="sum")

    # ==== resume ==============================================================================
    signature = {"model": model.config.to_dict(), **data.signature}
    signature |= {"add_vocab": config.add_vocab, "add_names": config.add_names}
    saver = checkpoints.Saver(out, signature, model, optimizer, scaler, config.keep, ranks)
    progress = saver.resume(Progress(), total_steps) if config.resume else Progress()

    # ==== run folder ==========================================================================
    log = runlog.RunLog(out, progress.step, total_steps, config.tensorboard, ranks)
    log.write_run_json(given, cache.metadata(), used=config)
    prompts = fill_mask.choose_prompts(cache, data.valid_windows, tokenizer, config.seed)
    if ranks.is_main:
        wordpiece.write(tokenizer, out, model.config.max_position_embeddings)
        if progress.step == 0:
            fill_mask.save_before(out, model, prompts, tokenizer)
    ddp_model = torch.compile(model) if config.compile else model
    if ranks.world_size > 1:
        ddp_model = DDP(ddp_model, gradient_as_bucket_view=True)

    # ==== loop ================================================================================
    # Evaluate before the first step, and what a resume finds finished but not evaluated.
    is_stale = progress.valid.get("step", -1) < progress.step
    if is_stale and (progress.step == 0 or progress.step >= total_steps):
        progress.valid = evaluate(model, data, amp, ranks, progress.step)
        log.validation(progress.valid)
    log.start_clock(progress.tokens, bert_model.flops_per_token(model), amp.dtype)
    with distributed.deferred_signals() as signals, log.profiler(config.profile) as profiler:
        for step in range(progress.step + 1, total_steps + 1):
            # ---- one optimizer step: micro-batches -> gradients -> update --------------------
            indices = ranks.share(data.micro_batches_per_step)
            micro_batches = [data.train_batch(step, i) for i in indices]
            local_targets = sum(batch.num_targets for batch in micro_batches)
            local_tokens = sum(batch.num_tokens for batch in micro_batches)
            sums = ranks.sum_counts(local_targets, local_tokens, len(signals))  # on the CPU
            num_targets, num_tokens, stop = sums  # stop: a signal has reached any rank
            lr = optim.learning_rate(step, total_steps, config.lr, config.warmup, config.schedule)
            optim.set_learning_rate(optimizer, lr)

            # The loss of a step is the sum over all its targets / their number, however the batch
            # is cut. DDP averages gradients over ranks, so each rank multiplies by world_size.
            loss_factor = ranks.world_size / max(num_targets, 1)  # texts of [UNK] have no target
            loss_sum = torch.zeros((), dtype=torch.float64, device=ranks.device)
            for micro_batch in micro_batches:
                batch = micro_batch.to(ranks.device)
                ranks.sync_gradients(ddp_model, when=micro_batch is micro_batches[-1])
                key = (config.seed, seeding.DROPOUT, step, micro_batch.index)
                torch.manual_seed(seeding.seed_of(*key))  # so a resume drops the same
                with amp.autocast():
                    logits = ddp_model(*batch.inputs)  # (M, V)
                    loss = criterion(logits.float(), batch.target_ids)
                scaler.scale(loss * loss_factor).backward()
                loss_sum += guard.note(loss, micro_batch.index)

            scaler.unscale_(optimizer)
            grad_norm = clip_grad_norm_(model.parameters(), config.clip or math.inf)
            step_loss = ranks.sum(loss_sum) / max(num_targets, 1)
            guard.watch(step, step_loss, grad_norm, saver.last_saved)  # no update by a bad step
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            # ----------------------------------------------------------------------------------

            progress.step = step
            progress.tokens += int(num_tokens)
            should_log = runlog.every(config.log_interval, step, total_steps)
            should_evaluate = runlog.every(config.eval_interval, step, total_steps)
            should_save = stop or runlog.every(config.save_interval, step, total_steps)
            if should_log or should_evaluate or should_save:
                guard.check()  # waits for the GPU
            if should_log:
                extra = {"targets": int(num_targets), "epoch": data.epoch_at(step)}
                log.train_step(step, step_loss, lr, grad_norm, progress.tokens, **extra)
            with log.clock_stopped():
                if should_evaluate:
                    progress.valid = evaluate(model, data, amp, ranks, step)
                    log.validation(progress.valid)
                if should_save:
                    saver.save(asdict(progress))
                profiler.step()
            if stop:
                break
    if progress.step < total_steps:
        sys.exit(log.stopped_by_signal(progress.step, signals))

    # ==== export ==============================================================================
    if ranks.is_main:
        pretrained.save(out, model)
        predictions = fill_mask.save_after(out, model, prompts, tokenizer)
        model_card.write(out, model)
        log.results(predictions, log.validation_losses(), trained=checkpoint or progress.step)
    train_cls = options.next_command("train_cls.py", "beautybert-cls")
    log.finish(config.data, next_command=f"{train_cls} --init {shlex.quote(config.out)}")
    return asdict(progress)


@torch.no_grad()
def evaluate(
    model: bert_model.BertForMaskedLM,
    data: batches.MlmBatches,
    amp: precision.Amp,
    ranks: distributed.Ranks,
    step: int,
) -> dict:
    """Loss, perplexity and accuracy on the validation targets, summed over ranks, then divided."""
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=ranks.device)  # loss, correct, targets
    for micro_batch in data.valid_batches(ranks):
        batch = micro_batch.to(ranks.device)
        with amp.autocast():
            sums += metrics.mlm_sums(model(*batch.inputs), batch.target_ids)
    model.train()
    return {"step": step, **metrics.mlm_metrics(ranks.sum(sums))}


if __name__ == "__main__":
    sys.exit(options.run_command(MlmConfig, __doc__, main))
