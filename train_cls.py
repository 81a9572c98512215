"""Fine-tune BERT to say from its ingredient list what kind of product a cosmetic is.

On the sample, two layers, CPU, about a minute:
    python train_cls.py
One GPU, from a model that train_mlm.py adapted:
    python train_cls.py --cosmetics data/cosmetics.csv --sephora data/sephora_website_dataset.csv --init runs/beauty --out runs/categories
Eight GPUs:
    torchrun --nproc-per-node 8 train_cls.py ...the same flags, --micro-batch-size 2: the batch is 16 lists as before, 2 on each GPU

It writes to --out: the best model so far in Hugging Face layout (model.safetensors, config.json, tokenizer files), labels.json, run.json,
metrics.jsonl, splits.csv, train_lists.txt (the lists that pretraining may read), checkpoints/; at the end report.json,
predictions_test.csv, confusion.csv and, with the `plots` extra, confusion.png and loss.png. `python -m beautybert.predict` uses the folder.

Letters: N tokens in a micro-batch, B lists in it, C classes.
"""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy
import pandas
import safetensors
import tokenizers
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

import beautybert
from beautybert import runlog
from beautybert.attention import attention_path, to_device
from beautybert.baselines import majority_accuracy, tfidf_linear_svc
from beautybert.batching import (DROPOUT, INGREDIENTS, SPLIT, Example, cut_head_and_tail, keyed_generator, keyed_seed, labelled_batch, shuffled_numbers,
                                 without_ingredients)
from beautybert.checkpoint import check_identity, file_checksum, newest_checkpoint, read_checkpoint, save_checkpoint
from beautybert.config import changed_options, option, raise_problems, run_command
from beautybert.distributed import Ranks, amp_dtype, deferred_signals, disconnects, sum_over_ranks, wait_for_ranks
from beautybert.masking import Vocabulary
from beautybert.metrics import classification_report, confusion_matrix, fit_temperature
from beautybert.model import HEADS, SIZES, BertForSequenceClassification, config_of_size
from beautybert.optim import SCHEDULES, FiniteGuard, layerwise_factor, learning_rate, load_optimizer_tensors, make_adamw, optimizer_tensors
from beautybert.pretrained import classifier_fields, load_weights, read_config, read_weights, resolve, start_classifier, write_model
from beautybert.products import (SCHEMES, SPLITS, check_splits, check_unread, label_list, read_label_map, read_products, relabel, split_products,
                                 splits_fingerprint)
from beautybert.tokenizer import learn_tokenizer, read_tokenizer, special_ids, token_list, tokenizer_fingerprint, write_tokenizer

EVALUATION_BATCH = 32  # lists; fixed, so that neither flags nor ranks change a logit


@dataclass(frozen=True)
class Config:
    """The options of train_cls.py."""

    cosmetics: str = option("data/sample/cosmetics.csv", "table with the columns Label, Brand, Ingredients")
    sephora: str = option("data/sample/sephora_website_dataset.csv", "table with the columns category, brand, ingredients")
    label_table: str = option("data/labels.csv", "what each label is called under --labels canonical and group")
    labels: str = option("full", "labels as in the files, without redundant ones, or families", choices=SCHEMES)
    min_per_label: int = option(5, "labels with fewer different lists are left out")
    split: str = option("list", "what never stands on two sides: a list, or a brand with all its lists", choices=("list", "brand"))
    split_seed: int = option(0, "decides which lists are on which side, whatever --labels and --seed; that of the lists that --init was pretrained on")
    init: str = option("scratch", "folder in Hugging Face layout, such as a train_mlm.py run, hub name, or scratch")
    size: str = option("tiny", "of --init scratch", choices=tuple(SIZES))
    vocab_size: int = option(2000, "WordPiece tokens learned from the training lists by --init scratch")
    head: str = option("wide", "what stands on the encoder", choices=HEADS)
    out: str = option("runs/cls", "run folder; must be empty or absent unless --resume")
    resume: bool = option(False, "continue from the newest whole checkpoint in --out, from the start if there is none")
    max_length: int = option(256, "longest list in tokens, [CLS] and [SEP] counted; of longer ones the head and the tail are kept")
    epochs: float = option(6.0, "passes over the training lists")
    max_steps: int | None = option(None, "optimizer steps, instead of --epochs; 0 evaluates and exports", instead_of="epochs")
    batch_size: int = option(16, "lists of one optimizer step over all ranks")
    micro_batch_size: int = option(16, "lists of one forward pass on one rank")
    lr: float | None = option(None, "peak learning rate of the top layer [2e-4, from scratch 1e-3]")
    head_factor: float = option(5.0, "times --lr: the rate of the new classifier layers; of the wide head's token weights it is 100")
    layer_decay: float = option(0.95, "factor on the rate for each layer further down")
    warmup: float = option(0.1, "fraction of the steps over which the rate rises")
    schedule: str = option("linear", "how the rate falls", choices=SCHEDULES)
    weight_decay: float = option(0.01, "AdamW's, of matrices and embeddings")
    clip: float = option(1.0, "largest gradient norm; 0: no clipping")
    dropout: float | None = option(None, "of hidden states and head [the model's own]")
    ingredient_dropout: float = option(0.2, "share of a training list's ingredients that are left out, others in each epoch")
    label_smoothing: float = option(0.1, "share of the target spread over all labels")
    class_weights: bool = option(False, "weigh each label by the inverse of its frequency")
    select_by: str = option("accuracy", "what on the validation lists decides which weights are kept", choices=("accuracy", "macro_f1"))
    amp: str = option("auto", "autocast in training; auto: bf16 or fp16 on a GPU, none on a CPU", choices=("none", "bf16", "fp16", "auto"))
    seed: int = option(0, "decides order, dropout and new weights")
    log_interval: int = option(10, "steps between training lines")
    eval_interval: int = option(0, "steps between evaluations; 0: once an epoch")
    save_interval: int = option(500, "steps between checkpoints; 0: only at the end")
    keep: int = option(1, "checkpoints kept")
    tensorboard: bool = option(False, "also log for TensorBoard (extra `tensorboard`)")
    profile: bool = option(False, "write a torch.profiler trace of the fourth to sixth step of this start to --out and print what takes longest")


def check(config: Config, ranks: Ranks) -> None:
    """ValueError with all that is wrong with the flags; needs no file but the run folder."""
    step, problems = config.micro_batch_size * ranks.world_size, []
    above_zero = ("min_per_label", "vocab_size", "epochs", "micro_batch_size", "head_factor", "log_interval", "keep")
    problems += [f"--{name.replace('_', '-')} must be above 0, not {getattr(config, name)}" for name in above_zero if getattr(config, name) <= 0]
    not_negative = ("split_seed", "max_steps", "weight_decay", "clip", "seed", "eval_interval", "save_interval")
    problems += [f"--{name.replace('_', '-')} must not be negative, it is {getattr(config, name)}" for name in not_negative if (getattr(config, name) or 0) < 0]
    for name in ("warmup", "dropout", "label_smoothing"):
        if not 0 <= (getattr(config, name) or 0) <= 1:
            problems.append(f"--{name.replace('_', '-')} must lie between 0 and 1, not {getattr(config, name)}")
    if not 0 <= config.ingredient_dropout < 1:
        problems.append(f"--ingredient-dropout must be at least 0 and below 1, not {config.ingredient_dropout}")
    if not 0 < config.layer_decay <= 1:
        problems.append(f"--layer-decay must be above 0 and at most 1, not {config.layer_decay}")
    if (config.cosmetics == Config.cosmetics) != (config.sephora == Config.sephora):
        problems.append("--cosmetics and --sephora go together: with one of them alone the other would be the generated sample")
    if config.lr is not None and config.lr <= 0:
        problems.append(f"--lr must be above 0, not {config.lr}")
    if config.max_length < 5:
        problems.append(f"--max-length must be at least 5, not {config.max_length}")
    if step > 0 and (config.batch_size % step or config.batch_size <= 0):
        near = max(config.batch_size // step, 0)
        share, rest = divmod(config.batch_size, ranks.world_size)
        problems.append(f"--batch-size {config.batch_size} is no multiple of --micro-batch-size {config.micro_batch_size} "
                        f"x {ranks.world_size} rank(s) = {step}; multiples are {' and '.join(str(n * step) for n in (near, near + 1) if n)}"
                        + (f", or keep the batch with --micro-batch-size {share}" if share > 0 and not rest else ""))
    raise_problems(problems)
    amp_dtype(config.amp, ranks.device)
    if config.tensorboard:
        runlog.need_extra("tensorboard", "--tensorboard", "tensorboard")
    out = Path(config.out)
    if ranks.first and not config.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out {out} is not empty: choose another, or continue that run with --resume")


@disconnects("lower --micro-batch-size")
def main(config: Config) -> dict:
    """Train as `config` says; returns what report.json holds."""
    ranks = Ranks.from_environment()
    check(config, ranks)
    show = print if ranks.first else (lambda *lines: None)
    seed, out, device = config.seed, Path(config.out), ranks.device

    # ==== data: text and label travel in one record ===================================================================
    products, counts = read_products(config.cosmetics, config.sephora, config.label_table)
    all_sides = split_products(products, config.split, keyed_generator(config.split_seed, SPLIT))  # the same under all --labels
    check_splits(all_sides, config.split)  # before labels are left out: train_lists.txt is made of them
    sides, counts = relabel(all_sides, read_label_map(config.label_table, config.labels), config.min_per_label, counts)
    labels = label_list(sides)
    show(f"products: {counts}")
    show(f"split: {check_splits(sides, config.split)}")
    data_id = splits_fingerprint(sides)

    # ==== tokenizer and shape of the model ============================================================================
    if config.init != "scratch":
        folder = resolve(config.init)
        check_unread(folder, [*sides["valid"], *sides["test"]])
        tokenizer, bert_config = read_tokenizer(folder), read_config(folder)
    else:
        folder = out
        tokenizer = read_tokenizer(out) if config.resume and (out / "tokenizer.json").is_file() else \
            learn_tokenizer(lambda: [product.text for product in sides["train"]], config.vocab_size)
        bert_config = config_of_size(config.size, len(token_list(tokenizer)), max(512, config.max_length))
    if config.dropout is not None:
        bert_config = replace(bert_config, hidden_dropout_prob=config.dropout)
    if len(token_list(tokenizer)) > bert_config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {len(token_list(tokenizer)):,} ids, the word embeddings of config.json only {bert_config.vocab_size:,}")
    if config.max_length > bert_config.max_position_embeddings:
        raise ValueError(f"--max-length {config.max_length} is over the {bert_config.max_position_embeddings} positions of --init {config.init}")

    # ==== model =======================================================================================================
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    if config.init == "scratch":
        model = BertForSequenceClassification(bert_config, len(labels), config.head)
    else:
        model, loaded = start_classifier(folder, bert_config, labels, config.head)
        show(f"{folder}: {loaded}")
    model.to(device).train()
    show(f"model: {sum(p.numel() for p in model.parameters()):,} parameters, head {config.head}, {len(labels)} labels, on {device} in "
         f"{str(amp_dtype(config.amp, device) or torch.float32).removeprefix('torch.')}, "
         f"attention by {attention_path(device, amp_dtype(config.amp, device), bert_config.head_size)}")

    # ==== examples ====================================================================================================
    special, vocabulary, label_id = special_ids(tokenizer), Vocabulary.of(tokenizer), {label: i for i, label in enumerate(labels)}
    examples, lengths = {}, []
    for side in SPLITS:
        encoded = tokenizer.encode_batch_fast([product.text for product in sides[side]], add_special_tokens=False)
        lengths += [len(e.ids) + 2 for e in encoded]
        examples[side] = [Example(numpy.array([special["[CLS]"], *cut_head_and_tail(e.ids, config.max_length - 2), special["[SEP]"]]), label_id[product.label])
                          for e, product in zip(encoded, sides[side])]
    per_step, total = config.batch_size // config.micro_batch_size, len(examples["train"])
    total_steps = config.max_steps if config.max_steps is not None else math.ceil(config.epochs * total / config.batch_size)
    eval_interval = config.eval_interval or math.ceil(total / config.batch_size)
    frequency = Counter(example.label_id for example in examples["train"])
    weights = torch.tensor([total / (len(labels) * frequency[i]) if config.class_weights else 1.0 for i in range(len(labels))])  # (C,)

    def training_batch(step: int, i: int):
        """Micro-batch i of the step's `per_step`."""
        first = (step - 1) * config.batch_size + i * config.micro_batch_size
        chosen = [examples["train"][number] for number in shuffled_numbers(first, config.micro_batch_size, total, seed)]
        if config.ingredient_dropout:
            rng = keyed_generator(seed, INGREDIENTS, step, i)
            chosen = [replace(example, ids=without_ingredients(example.ids, config.ingredient_dropout, vocabulary, rng)) for example in chosen]
        return labelled_batch(sorted(chosen, key=lambda example: len(example.ids)))

    show(f"lists: {sum(lengths) / len(lengths):.0f} tokens on average, {sum(n > config.max_length for n in lengths):,} of {len(lengths):,} are longer than "
         f"{config.max_length} and keep head and tail")
    show(f"batch: {config.batch_size} lists = {config.micro_batch_size} x {per_step // ranks.world_size} micro-batch(es) x {ranks.world_size} rank(s); "
         f"{total_steps:,} steps = {total_steps * config.batch_size / total:.2f} epochs")
    for product, example in list(zip(sides["train"], examples["train"]))[:2]:
        seen = " ".join(tokenizer.id_to_token(id) for id in example.ids[:40].tolist())
        show(f"  {seen} ... → {labels[example.label_id]}  ({product.source}, row {product.row})")

    # ==== optimizer, ranks ============================================================================================
    ranks.connect()
    peak_lr = config.lr or (1e-3 if config.init == "scratch" else 2e-4)
    optimizer = make_adamw(model, peak_lr, config.weight_decay,
                           factor_of=lambda name: layerwise_factor(name, bert_config.num_hidden_layers, config.layer_decay, config.head_factor))
    dtype = amp_dtype(config.amp, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    guard = FiniteGuard(optimizer, device)

    # ==== resume: these, weights, moments and scaler are all that the loop changes ====================================
    done, tokens_seen, best, valid = 0, 0, None, None  # best: {"step", "value", "checksum"} of model.safetensors; valid: the last evaluation
    identity = {"data": data_id, "tokenizer": tokenizer_fingerprint(tokenizer), "model": bert_config.to_dict(), "labels": labels,
                **{name: getattr(config, name) for name in ("split", "split_seed", "seed", "batch_size", "micro_batch_size", "max_length", "head",
                                                            "ingredient_dropout", "select_by")}}
    if config.resume:
        checkpoint = newest_checkpoint(out, show)
        if checkpoint:
            saved, moments, state = read_checkpoint(checkpoint)
            check_identity(state["identity"], identity, checkpoint)
            load_weights(model, saved)
            load_optimizer_tensors(model, optimizer, moments)
            if state["scaler"]:
                scaler.load_state_dict(state["scaler"])
            done, tokens_seen, best, valid = (state[name] for name in ("step", "tokens", "best", "valid"))
            if not (out / "model.safetensors").is_file() or file_checksum(out / "model.safetensors") != best["checksum"]:
                best = None  # better weights came after the checkpoint and took their place: this run will come to them again
        elif out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
            raise ValueError(f"--resume: {out} is not empty and no run folder (it has no run.json)")
        if sum_over_ranks(torch.tensor(float(done), device=device)).item() != done * ranks.world_size:
            raise ValueError(f"--resume: the ranks found different checkpoints in {out}, this one that of step {done}; all machines must see the same --out")
        show(f"resuming from {checkpoint}, step {done}" if checkpoint else f"no checkpoint in {out}: starting at step 0")
        for changed in changed_options(config, out / "run.json"):
            show(f"  other than before: {changed}")

    # ==== run folder ==================================================================================================
    network = DistributedDataParallel(model, gradient_as_bucket_view=True) if ranks.world_size > 1 else model
    if ranks.first:
        out.mkdir(parents=True, exist_ok=True)
        if config.resume:
            runlog.cut_back(out, done if valid else -1)
            for name in ("report.json", "predictions_test.csv"):
                (out / name).unlink(missing_ok=True)
        described = {"config": {name: value for name, value in asdict(config).items() if name != "resume"},
                     "data": {"fingerprint": data_id, "rows": counts.rows, "dropped": counts.dropped, "labels_left_out": counts.rare},
                     "versions": {"beautybert": beautybert.__version__, "python": platform.python_version(),
                                  **{library.__name__: library.__version__ for library in (torch, tokenizers, safetensors, numpy, pandas)}},
                     "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(), "ranks": ranks.world_size}
        (out / "run.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        (out / "labels.json").write_text(json.dumps(labels, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_tokenizer(tokenizer, out, bert_config.max_position_embeddings)
        (out / "train_lists.txt").write_text("".join(text + "\n" for text in dict.fromkeys(p.text for p in all_sides["train"])), encoding="utf-8")
        with open(out / "splits.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("source", "row", "label", "split"), *((p.source, p.row, p.label, side) for side in SPLITS for p in sides[side])])
    log = runlog.RunLog(out, done, total_steps, ranks.first, config.tensorboard)

    def logits_of(side: str) -> torch.Tensor:
        """fp32 logits of all examples of a side (examples, C), on every rank: each computes its share, in batches that do not depend on the ranks."""
        model.eval()
        logits = torch.zeros(len(examples[side]), len(labels), dtype=torch.float64, device=device)
        by_length = sorted(range(len(examples[side])), key=lambda i: len(examples[side][i].ids))
        batches = [by_length[i: i + EVALUATION_BATCH] for i in range(0, len(by_length), EVALUATION_BATCH)]
        with torch.no_grad():
            for chosen in batches[ranks.rank::ranks.world_size]:
                batch = labelled_batch([examples[side][i] for i in chosen]).to(device)
                logits[chosen] = model(batch.input_ids, batch.position_ids, batch.segments).double()
        model.train()
        return sum_over_ranks(logits).cpu()

    targets_of = {side: torch.tensor([example.label_id for example in examples[side]]) for side in SPLITS}

    def evaluate(step: int) -> dict:
        """Judge the weights on the validation lists, and export them if they are the best so far."""
        nonlocal best
        report = classification_report(logits_of("valid"), targets_of["valid"], labels)
        metrics = {"step": step, **{name: report[name] for name in ("loss", "accuracy", "top3", "macro_f1")}}
        if not math.isfinite(metrics["loss"]):
            raise ValueError(f"step {step}: the validation loss is {metrics['loss']}")
        log.write(split="valid", **metrics)
        if best is None or metrics[config.select_by] > best["value"]:
            best = {"step": step, "value": metrics[config.select_by]}
            if ranks.first:
                write_model(out, model, bert_config, classifier_fields(labels, config.head, 1.0, config.max_length))
                best["checksum"] = file_checksum(out / "model.safetensors")
        log.say(f"validation at step {step}: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.1%}, top 3 {metrics['top3']:.1%}, "
                f"macro-F1 {metrics['macro_f1']:.3f}"
                + (" (best so far)" if best["step"] == step else ""))
        return metrics

    def save(step: int) -> None:
        if ranks.first:
            state = {"identity": identity, "tokens": tokens_seen, "best": best, "valid": valid, "scaler": scaler.state_dict()}
            save_checkpoint(out, step, model.state_dict(), optimizer_tensors(model, optimizer), state, config.keep)

    # ==== loop ========================================================================================================
    saved_at = done
    valid = valid or evaluate(0)
    with deferred_signals() as received, runlog.profiler(log, out, config.profile and ranks.first) as profiler:
        clock, tokens_at_log = time.perf_counter(), tokens_seen
        for step in range(done + 1, total_steps + 1):
            # ---- one optimizer step ----------------------------------------------------------------------------------
            batches = [(i, training_batch(step, i)) for i in range(ranks.rank, per_step, ranks.world_size)]
            mine = [sum(weights[b.label_ids].sum().item() for _, b in batches), sum(len(b.input_ids) for _, b in batches), len(received)]
            weight, tokens, stop = sum_over_ranks(torch.tensor(mine, dtype=torch.float64)).tolist()  # on the host: no GPU is waited for
            lr = learning_rate(step, total_steps, peak_lr, config.warmup, config.schedule)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["lr_factor"]
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            for n, (i, batch) in enumerate(batches, start=1):
                batch, label_weights = batch.to(device), to_device(weights[batch.label_ids], device)  # (B,)
                torch.manual_seed(keyed_seed(seed, DROPOUT, step, i))
                with nullcontext() if n == len(batches) or ranks.world_size == 1 else network.no_sync():
                    with torch.autocast(device.type, dtype) if dtype else nullcontext():
                        logits = network(batch.input_ids, batch.position_ids, batch.segments)  # (B, C)
                        losses = F.cross_entropy(logits.float(), batch.label_ids, reduction="none", label_smoothing=config.label_smoothing)  # (B,)
                        loss = (losses * label_weights).sum()
                    scaler.scale(loss * (ranks.world_size / weight)).backward()  # DistributedDataParallel averages over the ranks
                loss_sum += loss.detach()
            scaler.unscale_(optimizer)
            grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf)
            loss = sum_over_ranks(loss_sum) / weight
            logs = step % config.log_interval == 0 or step == total_steps
            evaluates = step == total_steps or step % eval_interval == 0
            saves = step == total_steps or stop or (config.save_interval and step % config.save_interval == 0)
            guard.watch(step, loss, grad_norm, scaler)
            if logs or evaluates or saves or scaler.is_enabled():
                guard.check(saved_at)  # the only place where the host waits for the GPU
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            # ----------------------------------------------------------------------------------------------------------
            tokens_seen += int(tokens)
            if logs:
                now = time.perf_counter()  # what waits for the GPU from here on counts for the next line
                speed = (tokens_seen - tokens_at_log) / (now - clock)
                log.write(step, "train", loss=loss.item(), lr=lr, grad_norm=grad_norm.item(), tokens=tokens_seen, tokens_per_second=round(speed, 1),
                          epoch=step * config.batch_size / total)
                log.show_step(step, loss.item(), lr, speed)
                clock, tokens_at_log = now, tokens_seen
            paused = time.perf_counter()
            if evaluates:
                valid = evaluate(step)
            if saves:
                save(step)
                saved_at = step
            if profiler:
                profiler.step()
            clock += time.perf_counter() - paused  # the speed is that of training alone
            if stop:
                break
    if saved_at < total_steps:
        log.close()
        show(f"stopped by a signal after step {saved_at} and saved a checkpoint; continue with the same command and --resume")
        sys.exit(128 + (received[0] if received else 15))

    # ==== judge the best weights on the test lists, once ==============================================================
    wait_for_ranks()  # rank 0 has written them
    load_weights(model, read_weights(out))
    temperature = fit_temperature(logits_of("valid"), targets_of["valid"])
    logits = logits_of("test")
    report = classification_report(logits, targets_of["test"], labels, temperature)
    log.write(saved_at, "test", **{name: report[name] for name in ("loss", "accuracy", "top3", "macro_f1", "ece")})
    log.close()
    texts, names = ({side: [getattr(product, name) for product in sides[side]] for side in SPLITS} for name in ("text", "label"))
    report = {"labels": config.labels, "split": config.split, "sizes": {side: len(sides[side]) for side in SPLITS},
              "best_step": best["step"], "best_valid": best["value"],
              "majority_accuracy": majority_accuracy(names["train"], names["test"]), **report}
    if ranks.first:
        report["tfidf_linear_svc"] = tfidf_linear_svc(texts["train"], names["train"], texts["test"], names["test"])
        write_model(out, model, bert_config, classifier_fields(labels, config.head, temperature, config.max_length))
        (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        probabilities, predicted = (logits / temperature).softmax(-1).max(-1)
        with open(out / "predictions_test.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("source", "row", "label", "prediction", "probability"),
                                        *((p.source, p.row, p.label, labels[i], f"{q:.6f}")
                                          for p, i, q in zip(sides["test"], predicted.tolist(), probabilities.tolist()))])
        confusion = confusion_matrix(predicted, targets_of["test"], len(labels)).numpy()
        pandas.DataFrame(confusion, labels, labels).rename_axis("label \\ prediction").to_csv(out / "confusion.csv")
        pictures = [str(path) for path in (runlog.plot_losses(out), runlog.plot_confusion(out, confusion, labels)) if path]
        svc = report["tfidf_linear_svc"]
        show(f"test, {report['sizes']['test']:,} lists, {len(labels)} labels: accuracy {report['accuracy']:.1%}, top 3 {report['top3']:.1%}, "
             f"macro-F1 {report['macro_f1']:.3f}, calibration error {report['ece']:.3f} "
             f"({report['ece_uncalibrated']:.3f} before the logits are divided by {temperature:.2f})\n"
             f"  beside it: majority {report['majority_accuracy']:.1%}; TF-IDF + LinearSVC "
             + (f"{svc['accuracy']:.1%}, macro-F1 {svc['macro_f1']:.3f}" if svc else "not run, it needs scikit-learn (pip install -e '.[test]')"))
        for n in range(min(5, len(predicted))):  # from all over the test side
            i = n * len(predicted) // 5
            product = sides["test"][i]
            show(f"  {product.text[:90]} ...\n    is {product.label}, predicted {labels[predicted[i]]} ({probabilities[i]:.0%})")
        first = ", ".join(sides["test"][0].text.split(", ")[:4])
        show(f"weights are those of step {best['step']}; model, report and logs are in {out}" + (f", pictures are {', '.join(pictures)}" if pictures else "")
             + f"\nwhat pretraining may read of the lists is {out / 'train_lists.txt'}\n"
             + ("nothing was trained (--max-steps 0)" if total_steps == 0 else f"try: python -m beautybert.predict {out} --ingredients \"{first}\""))
    return report


if __name__ == "__main__":
    sys.exit(run_command(Config, __doc__, main))
