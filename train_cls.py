"""Fine-tune BERT to say what kind of product a cosmetic is, from its name and ingredient list.

    python train_cls.py                                      # CPU, the sample in data/, a minute
    python train_cls.py --data data/cosmetics.csv data/sephora_website_dataset.csv \\
        --init runs/beauty --out runs/categories             # one GPU
    torchrun --nproc-per-node 8 train_cls.py ... --micro-batch-size 2      # 8 GPUs

It writes to --out: the best model so far in Hugging Face layout, run.json, metrics.jsonl,
splits.csv, train_lists.txt (what pretraining may read), checkpoints/; at the end README.md,
report.json and more (docs/classification.md). `python -m beautybert.predict` uses the folder.

Letters: N tokens in a micro-batch, B documents in it, P products with two of them, M = B + P
targets, C classes.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch.nn import CrossEntropyLoss
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.nn.utils import clip_grad_norm_

from beautybert.bert import model as bert_model
from beautybert.bert import model_folder, pretrained, wordpiece
from beautybert.cls import (
    baselines,
    batches,
    classifier,
    finetuning,
    products,
    report,
    selection,
    splits,
)
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

SAMPLE = tuple(map(sample.path_of, ("cosmetics.csv", "sephora_website_dataset.csv")))


@dataclass(frozen=True)
class ClsConfig:
    """The options of train_cls.py; a `group` opens a section of --help."""

    RENAMED: ClassVar = dict.fromkeys(("cosmetics", "sephora"), "--data TABLE [TABLE ...]")

    data: tuple[str, ...] = option(
        SAMPLE, "tables of labelled products: csv, tsv, jsonl, parquet; .gz too", group="data"
    )
    columns: tuple[str, ...] = option((), "label=COL name=COL ..., where headers do not tell")
    inputs: tuple[str, ...] = option((), "name, ingredients or both [what the tables have]")
    label_table: str | None = option(None, "table that merges and groups labels [the package's]")
    labels: str = option(
        "full", "labels as in the files, redundant ones merged, families", choices=selection.SCHEMES
    )
    min_per_label: int = option(5, "products that a label must have", gt=0)
    split: str = option("list", "what is never in two splits", choices=splits.SPLIT_BY)
    split_seed: int = option(0, "seed of the split, the same for all --labels", ge=0)
    max_length: int = option(256, "tokens of the longest document", ge=5, le=65_536)
    describe: bool = option(False, "say what is in the tables, write the splits, train nothing")

    init: str = option("scratch", "checkpoint folder, hub name, or scratch", group="model")
    size: str = option("tiny", "size of a model from scratch", choices=tuple(bert_model.SIZES))
    vocab_size: int = option(2000, "tokens to learn from scratch", gt=0, le=1_000_000)
    head: str = option("mlp", "classifier head on the encoder", choices=bert_model.HEADS)
    dropout: float | None = option(None, "dropout of hidden states [the model's own]", ge=0, le=1)

    batch_size: int = option(
        16, "products of one optimizer step over all ranks", gt=0, le=1_000_000, group="batch"
    )
    micro_batch_size: int = option(16, "products of one forward pass", gt=0, le=1_000_000)
    ingredient_dropout: float = option(
        0.2, "share of a training list's ingredients that are left out", ge=0, lt=1
    )

    epochs: float = option(
        6.0, "passes over the training products", gt=0, le=1_000_000, group="optimization"
    )
    max_steps: int | None = option(None, "steps; 0: no training", ge=0, instead_of="epochs")
    lr: float | None = option(None, "peak rate of the top layer [2e-4, from scratch 1e-3]", gt=0)
    head_factor: float = option(5.0, "factor on --lr for the new classifier layers", gt=0)
    layer_decay: float = option(0.95, "factor on --lr for each layer further down", gt=0, le=1)
    warmup: float = option(0.1, "share of the steps in which the learning rate rises", ge=0, le=1)
    schedule: str = option("linear", "how the learning rate falls", choices=optim.SCHEDULES)
    weight_decay: float = option(0.01, "weight decay of matrices and embeddings", ge=0)
    clip: float = option(1.0, "largest gradient norm; 0: no clipping", ge=0)
    label_smoothing: float = option(0.1, "share of a target spread over all labels", ge=0, le=1)
    amp: str = option("auto", "mixed precision in training", choices=precision.AMP_MODES)
    compile: bool = option(False, "torch.compile, with micro-batches padded to one size")
    gradient_checkpointing: bool = option(False, "less memory for about a third more time")
    threads: int = option(0, "CPU threads; 0: by the model's size", ge=0, le=1024)
    seed: int = option(0, "seed of order, dropout and new weights", ge=0)

    out: str = option(
        "runs/cls", "run folder, new or empty unless --resume", group="evaluation and output"
    )
    resume: bool = option(False, "continue from the newest complete checkpoint in --out")
    select_by: str = option("loss", "what picks the weights", choices=metrics.CLASSIFICATION_SCORES)
    baseline: bool = option(True, "compare with LinearSVC on TF-IDF at the end")
    eval_interval: int = option(0, "steps between evaluations; 0: once an epoch", ge=0)
    log_interval: int = option(20, "steps between training lines", gt=0)
    save_interval: int = option(500, "steps between checkpoints; 0: only the last", ge=0)
    keep: int = option(1, "number of checkpoints kept", gt=0)
    tensorboard: bool = option(False, "curves for TensorBoard (extra `tensorboard`)")
    profile: bool = option(False, "torch.profiler trace of the fourth to sixth step")


def conflicts(config: ClsConfig, world_size: int) -> list[str]:
    """What is wrong between options; the range of each alone is next to its field."""
    problems = options.not_a_multiple(config, "batch_size", "micro_batch_size", world_size)
    if config.tensorboard:
        problems += options.missing_extra("tensorboard")
    return problems


@dataclass
class Progress:
    """All that the loop changes, but for weights, optimizer and scaler; a checkpoint has it too."""

    step: int = 0
    tokens: int = 0
    valid: dict = field(default_factory=dict)  # the last evaluation
    best: dict = field(default_factory=dict)  # step and value of the best weights


@distributed.entry_point(oom_hint="lower --micro-batch-size")
def main(config: ClsConfig) -> dict:
    """Train as `config` says; returns what report.json holds."""
    ranks = distributed.Ranks.from_environment()
    options.raise_problems(options.out_of_range(config) + conflicts(config, ranks.world_size))
    amp = precision.Amp(config.amp, ranks.device)
    out = Path(config.out)
    runlog.check_folder(out, config.resume, ranks)

    # ==== data ================================================================================
    table, counts = products.read_products(config.data, config.columns)
    all_splits = splits.split_products(table, config.split, config.split_seed)
    wanted = (config.inputs, config.labels, config.label_table, config.min_per_label)
    by_split, counts = selection.select(all_splits, *wanted, counts)
    ranks.print0(f"products: {counts}", splits.check_no_overlap(by_split, config.split))
    if config.describe:
        return report.write_splits(out, by_split, all_splits["train"], ranks, describe=True)
    checkpoint = model_folder.resolve(config.init)  # None: start from scratch
    splits.check_no_leakage(checkpoint, [*by_split["valid"], *by_split["test"]])
    start = checkpoint or runlog.resumed(out, config.resume, wordpiece.read)
    tokenizer = wordpiece.load_or_learn(start, products.texts(by_split["train"]), config.vocab_size)
    bert_config = pretrained.config_for(checkpoint, config.size, tokenizer, config.max_length)
    data = batches.ClsBatches(
        by_split,
        tokenizer,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        max_length=config.max_length,
        ingredient_dropout=config.ingredient_dropout,
        seed=config.seed,
    )
    total_steps = data.steps(config.epochs) if config.max_steps is None else config.max_steps
    data.pad_micro_batches(total_steps if config.compile else 0)
    ranks.print0(data.summary(ranks.world_size, total_steps))

    # ==== model ===============================================================================
    torch.manual_seed(config.seed)
    torch.set_float32_matmul_precision("high")
    bert_config = bert_config.with_dropout(config.dropout)
    model, load_report = finetuning.start(checkpoint, bert_config, data.labels, config.head)
    model.bert.encoder.gradient_checkpointing = config.gradient_checkpointing
    model.to(ranks.device).train()
    answering = classifier.Classifier.unfinished(model, data, config.labels, config.label_table)
    hardware.set_threads(config.threads, model.bert.encoder, out, config.resume, ranks.world_size)
    ranks.print0(load_report, bert_model.describe(model, ranks.device, amp.dtype))

    # ==== optimizer ===========================================================================
    ranks.init_process_group()
    peak_lr = config.lr or (1e-3 if checkpoint is None else 2e-4)
    lr_factor = finetuning.LrFactor(bert_config, config.layer_decay, config.head_factor)
    optimizer = optim.make_optimizer(model, peak_lr, config.weight_decay, lr_factor)
    scaler = amp.grad_scaler()
    guard = precision.FiniteGuard(optimizer, scaler)
    criterion = CrossEntropyLoss(reduction="sum", label_smoothing=config.label_smoothing)

    # ==== resume ==============================================================================
    signature = {"model": model.config.to_dict(), **data.signature}
    signature |= {key: getattr(config, key) for key in ("head", "split", "split_seed", "select_by")}
    kept = (config.keep, ranks, out / "model.safetensors")  # the best weights too
    saver = checkpoints.Saver(out, signature, model, optimizer, scaler, *kept)
    progress = saver.resume(Progress(), total_steps) if config.resume else Progress()

    # ==== run folder ==========================================================================
    log = runlog.RunLog(out, progress.step, total_steps, config.tensorboard, ranks)
    log.write_run_json(replace(config, inputs=tuple(data.inputs)), data.metadata(counts))
    report.write_splits(out, by_split, all_splits["train"], ranks)
    if ranks.is_main:
        wordpiece.write(tokenizer, out, bert_config.max_position_embeddings)
    ddp_model = torch.compile(model) if config.compile else model
    if ranks.world_size > 1:
        ddp_model = DDP(ddp_model, gradient_as_bucket_view=True)

    # ==== loop ================================================================================
    if not progress.valid or (progress.step >= total_steps and not progress.best):
        progress.valid = evaluate(model, data, ranks, progress.step)
        log.validation(progress.valid)
        keep_best(progress, config.select_by, answering, out, ranks)
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
            lr = optim.learning_rate(step, total_steps, peak_lr, config.warmup, config.schedule)
            optim.set_learning_rate(optimizer, lr)

            # Targets are documents, and the summed logits of a product's two. The loss of a step is
            # the sum over all of them / their number; DDP averages over ranks, hence world_size.
            loss_factor = ranks.world_size / num_targets
            loss_sum = torch.zeros((), dtype=torch.float64, device=ranks.device)
            for micro_batch in micro_batches:
                batch = micro_batch.to(ranks.device)
                ranks.sync_gradients(ddp_model, when=micro_batch is micro_batches[-1])
                key = (config.seed, seeding.DROPOUT, step, micro_batch.index)
                torch.manual_seed(seeding.seed_of(*key))  # so a resume drops the same
                with amp.autocast():
                    logits = ddp_model(*batch.inputs)  # (B, C)
                    pair_logits = logits[batch.pairs].sum(1)  # (P, C)
                    loss = criterion(torch.cat([logits, pair_logits]).float(), batch.target_ids)
                scaler.scale(loss * loss_factor).backward()
                loss_sum += guard.note(loss, micro_batch.index)

            scaler.unscale_(optimizer)
            grad_norm = clip_grad_norm_(model.parameters(), config.clip or math.inf)
            step_loss = ranks.sum(loss_sum) / num_targets
            guard.watch(step, step_loss, grad_norm, saver.last_saved)  # no update by a bad step
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            # ----------------------------------------------------------------------------------

            progress.step = step
            progress.tokens += int(num_tokens)
            should_log = runlog.every(config.log_interval, step, total_steps)
            should_evaluate = runlog.every(config.eval_interval or data.steps(1), step, total_steps)
            should_save = stop or runlog.every(config.save_interval, step, total_steps)
            if should_log or should_evaluate or should_save:
                guard.check()  # waits for the GPU
            if should_log:
                log.train_step(step, step_loss, lr, grad_norm, progress.tokens, data.epoch_at(step))
            with log.clock_stopped():
                if should_evaluate:
                    progress.valid = evaluate(model, data, ranks, step)
                    log.validation(progress.valid)
                    keep_best(progress, config.select_by, answering, out, ranks)
                if should_save:
                    saver.save(asdict(progress))
                profiler.step()
            if stop:
                break
    if progress.step < total_steps:
        sys.exit(log.stopped_by_signal(progress.step, signals))

    # ==== export ==============================================================================
    classifier.load_exported(model, out)
    logits = {split: compute_logits(model, data, split, ranks) for split in ("valid", "test")}
    if not ranks.is_main:
        return {}
    log.info(baselines.plan(config.baseline))
    finished = answering.with_pool(data, logits["valid"])
    finished.save(out)
    facts = {"best": progress.best, "labels": config.labels, "split": config.split}
    result = report.judge(data, finished, logits["test"], facts, config.baseline)
    log.test(progress.step, result.scores)
    log.results(report.write(out, data, result), trained=progress.best["step"] > 0)
    log.finish(config.data, next_command=report.command(out, data, result))
    return result.scores


@torch.no_grad()
def compute_logits(
    model: bert_model.BertForSequenceClassification,
    data: batches.ClsBatches,
    split: str,
    ranks: distributed.Ranks,
) -> dict[str, torch.Tensor]:
    """fp32 logits of a split's products (products, C) by input, 0 where one is missing.

    On every rank: each computes its share. The batches do not depend on the ranks.
    """
    model.eval()
    shape = (len(products.INPUTS), len(data.examples[split]), len(data.labels))
    logits = torch.zeros(shape, dtype=torch.float64, device=ranks.device)
    for input_indices, indices, packed in data.eval_batches(split, ranks):
        logits[input_indices, indices] = model(*packed.to(ranks.device)).double()
    model.train()
    return dict(zip(products.INPUTS, ranks.sum(logits).cpu(), strict=True))


def evaluate(
    model: bert_model.BertForSequenceClassification,
    data: batches.ClsBatches,
    ranks: distributed.Ranks,
    step: int,
) -> dict:
    """Loss, accuracy, top-3 accuracy and macro-F1 of the validation products.

    Their logits are the sums of their documents', before any pool is fitted.
    """
    logits = torch.stack(list(compute_logits(model, data, "valid", ranks).values())).sum(0)
    scores = metrics.classification_metrics(logits, data.target_ids("valid"), data.labels)
    return {"step": step, **{name: scores[name] for name in metrics.CLASSIFICATION_SCORES}}


def keep_best(
    progress: Progress,
    select_by: str,
    answering: classifier.Classifier,
    out: Path,
    ranks: distributed.Ranks,
) -> None:
    """Export the weights if the last evaluation is the best so far."""
    value, sign = progress.valid[select_by], -1 if select_by == "loss" else 1
    if progress.best and sign * value <= sign * progress.best["value"]:
        return
    progress.best = {"step": progress.valid["step"], "value": value}
    if ranks.is_main:
        answering.save(out)
    ranks.barrier()  # at the end every rank reads what rank 0 has written


if __name__ == "__main__":
    sys.exit(options.run_command(ClsConfig, __doc__, main))
