"""Continue pretraining BERT by masked language modelling on product texts.

On the sample, two layers, CPU, about a minute:
    python train_mlm.py
One GPU, from BERT-base:
    python train_mlm.py --data data/meta_All_Beauty.json.gz --init bert-base-uncased --out runs/beauty \\
        --batch-tokens 65536 --micro-batch-tokens 32768
Eight GPUs:
    torchrun --nproc-per-node 8 train_mlm.py ...the same flags, a batch of 8 x 32768 tokens or a multiple

It writes to --out: the model in Hugging Face layout (model.safetensors, config.json, tokenizer.json, vocab.txt), run.json,
metrics.jsonl, guesses.json, checkpoints/ and, with the `plots` extra, loss.png.

Letters: N tokens in a micro-batch, M targets, V vocabulary.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy
import safetensors
import tokenizers
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

import beautybert
from beautybert import runlog
from beautybert.attention import attention_path
from beautybert.batching import (DROPOUT, GUESSES, MASK, VALIDATION, MicroBatchOrder, Windows, join_windows, keyed_generator, keyed_seed,
                                 masked_micro_batch, pack, split_documents)
from beautybert.checkpoint import check_identity, newest_checkpoint, read_checkpoint, save_checkpoint
from beautybert.config import changed_options, option, raise_problems, run_command
from beautybert.corpus import TEXT_FIELDS, TokenCache, available_cores, build_token_cache, corpus_fingerprint, read_texts
from beautybert.distributed import Ranks, amp_dtype, deferred_signals, disconnects, once_per_machine, sum_over_ranks
from beautybert.examples import choose_riddles, guess, masked_as_text, masked_rates, riddle_text
from beautybert.masking import UNITS, Vocabulary
from beautybert.metrics import mlm_metrics, mlm_sums
from beautybert.model import SIZES, BertForMaskedLM, config_of_size
from beautybert.optim import SCHEDULES, FiniteGuard, learning_rate, load_optimizer_tensors, make_adamw, optimizer_tensors
from beautybert.pretrained import add_word_embeddings, load_weights, read_config, read_masked_lm, resolve, write_model
from beautybert.tokenizer import (ADDED_TOKENS_VERSION, add_names, add_words, learn_tokenizer, read_tokenizer, special_ids, token_list, tokenizer_fingerprint,
                                  write_tokenizer)

VALIDATION_MASK_PROB, VALIDATION_TOKENS = 0.15, 4096  # whatever --mask-prob and --micro-batch-tokens are, so that runs can be compared


@dataclass(frozen=True)
class Config:
    """The options of train_mlm.py."""

    data: tuple[str, ...] = option(("data/sample/meta_All_Beauty.json.gz",), "product metadata (.json, .jsonl), .txt or .csv, plain or .gz")
    text_fields: tuple[str, ...] = option(TEXT_FIELDS, "fields of a record that are joined to its text, those that it has")
    init: str = option("scratch", "folder in Hugging Face layout, hub name such as bert-base-uncased, or scratch")
    size: str = option("tiny", "of --init scratch", choices=tuple(SIZES))
    vocab_size: int = option(4000, "WordPiece tokens learned from the data by --init scratch")
    add_vocab: int = option(0, "whole words of the data that become tokens of an --init checkpoint, those that its vocabulary cuts up most")
    add_names: int = option(0, "names between commas, such as ingredients, that become tokens after those words, the most costly first")
    out: str = option("runs/mlm", "run folder; must be empty or absent unless --resume")
    resume: bool = option(False, "continue from the newest whole checkpoint in --out, from the start if there is none")
    cache_dir: str = option("~/.cache/beautybert", "where tokenised corpora are kept between runs")
    workers: int = option(0, "processes that tokenise; 0: one a CPU core")
    max_bad_rows: float = option(0.01, "largest share of malformed rows that is skipped instead of being an error")
    valid_fraction: float = option(0.02, "share of the documents held out for validation")
    max_length: int = option(128, "longest window in tokens, [CLS] and [SEP] counted; longer texts become several windows")
    epochs: float = option(10.0, "passes over the training documents")
    max_steps: int | None = option(None, "optimizer steps, instead of --epochs; 0 evaluates and exports", instead_of="epochs")
    batch_tokens: int = option(8192, "tokens of one optimizer step over all ranks; at most so many, as documents are never cut to fill")
    micro_batch_tokens: int = option(2048, "tokens of one forward pass on one rank")
    mask_prob: float = option(0.15, "share of the tokens that are selected in training; validation always selects 0.15")
    mask_unit: str = option("token", "what is hidden as a whole", choices=UNITS)
    lr: float | None = option(None, "peak learning rate [1e-4, from scratch 1e-3]")
    warmup: float = option(0.06, "fraction of the steps over which the rate rises")
    schedule: str = option("linear", "how the rate falls", choices=SCHEDULES)
    weight_decay: float = option(0.01, "AdamW's, of matrices and embeddings")
    clip: float = option(1.0, "largest gradient norm; 0: no clipping")
    dropout: float | None = option(None, "of hidden states [the model's own]")
    amp: str = option("auto", "autocast; auto: bf16 or fp16 on a GPU, none on a CPU", choices=("none", "bf16", "fp16", "auto"))
    compile: bool = option(False, "torch.compile the model, and pad every micro-batch to the same number of tokens for it")
    gradient_checkpointing: bool = option(False, "recompute layers in the backward pass: less memory, about a third more time")
    seed: int = option(0, "decides split, order, masks, dropout and new weights")
    log_interval: int = option(10, "steps between training lines")
    eval_interval: int | None = option(None, "steps between evaluations [a tenth of the run]; 0: only at the start and the end")
    save_interval: int = option(500, "steps between checkpoints; 0: only at the end")
    keep: int = option(2, "checkpoints kept")
    tensorboard: bool = option(False, "also log for TensorBoard (extra `tensorboard`)")
    profile: bool = option(False, "write a torch.profiler trace of the fourth to sixth step of this start to --out and print what takes longest")


def check(config: Config, ranks: Ranks) -> None:
    """ValueError with all that is wrong with the flags; needs no file but the run folder."""
    step, problems = config.micro_batch_tokens * ranks.world_size, []
    above_zero = ("vocab_size", "epochs", "micro_batch_tokens", "log_interval", "keep")
    problems += [f"--{name.replace('_', '-')} must be above 0, not {getattr(config, name)}" for name in above_zero if getattr(config, name) <= 0]
    not_negative = ("add_vocab", "add_names", "workers", "max_steps", "weight_decay", "clip", "seed", "eval_interval", "save_interval")
    problems += [f"--{name.replace('_', '-')} must not be negative, it is {getattr(config, name)}" for name in not_negative if (getattr(config, name) or 0) < 0]
    for name, low, high in (("max_bad_rows", 0, 1), ("warmup", 0, 1), ("dropout", 0, 1)):
        if not low <= (getattr(config, name) or 0) <= high:
            problems.append(f"--{name.replace('_', '-')} must lie between {low} and {high}, not {getattr(config, name)}")
    for name in ("valid_fraction", "mask_prob"):
        if not 0 < getattr(config, name) < 1:
            problems.append(f"--{name.replace('_', '-')} must lie between 0 and 1, not {getattr(config, name)}")
    if (config.add_vocab or config.add_names) and config.init == "scratch":
        problems.append("--add-vocab and --add-names need the vocabulary of an --init checkpoint; from scratch, --vocab-size tokens are learned")
    if config.lr is not None and config.lr <= 0:
        problems.append(f"--lr must be above 0, not {config.lr}")
    if config.max_length < 3:
        problems.append(f"--max-length must be at least 3 ([CLS], a token, [SEP]), not {config.max_length}")
    if config.micro_batch_tokens < config.max_length:
        problems.append(f"--micro-batch-tokens {config.micro_batch_tokens} is below --max-length {config.max_length}: the longest window would not fit")
    if step > 0 and (config.batch_tokens % step or config.batch_tokens <= 0):
        near = max(config.batch_tokens // step, 0)
        problems.append(f"--batch-tokens {config.batch_tokens} is no multiple of --micro-batch-tokens {config.micro_batch_tokens} x {ranks.world_size} rank(s) "
                        f"= {step}; the nearest are {' and '.join(str(n * step) for n in (near, near + 1) if n)}")
    raise_problems(problems)
    amp_dtype(config.amp, ranks.device)
    if config.tensorboard:
        runlog.need_extra("tensorboard", "--tensorboard", "tensorboard")
    out = Path(config.out)
    if ranks.first and not config.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out {out} is not empty: choose another, or continue that run with --resume")


@disconnects("lower --micro-batch-tokens or add --gradient-checkpointing")
def main(config: Config) -> dict:
    """Train as `config` says; returns the final metrics."""
    ranks = Ranks.from_environment()
    check(config, ranks)
    show = print if ranks.first else (lambda *lines: None)
    seed, out, device = config.seed, Path(config.out), ranks.device

    # ==== tokenizer and shape of the model ============================================================================
    cache_dir, corpus_id = Path(config.cache_dir).expanduser(), corpus_fingerprint(config.data, config.text_fields)
    if config.init != "scratch":
        folder = resolve(config.init)
    elif config.resume and (out / "tokenizer.json").is_file():
        folder = out
    else:
        folder = once_per_machine(cache_dir / f"vocabulary-{corpus_id}-{config.vocab_size}", lambda unfinished: write_tokenizer(
            learn_tokenizer(lambda: read_texts(config.data, config.text_fields), config.vocab_size), unfinished, config.max_length), ranks)
    tokenizer = read_tokenizer(folder)
    bert_config = read_config(folder) if config.init != "scratch" else config_of_size(config.size, len(token_list(tokenizer)), max(512, config.max_length))
    if config.dropout is not None:
        bert_config = replace(bert_config, hidden_dropout_prob=config.dropout)
    if len(token_list(tokenizer)) > bert_config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {len(token_list(tokenizer)):,} ids, the word embeddings of config.json only {bert_config.vocab_size:,}")
    base_tokenizer, new_tokens = tokenizer, []
    if config.add_vocab or config.add_names:
        def write_longer(unfinished: Path) -> None:
            with_words = add_words(base_tokenizer, read_texts(config.data, config.text_fields), config.add_vocab) if config.add_vocab else base_tokenizer
            longer = add_names(with_words, read_texts(config.data, config.text_fields), config.add_names) if config.add_names else with_words
            write_tokenizer(longer, unfinished, config.max_length)

        name = f"vocabulary-{corpus_id}-{tokenizer_fingerprint(base_tokenizer)}-{config.add_vocab}-{config.add_names}-{ADDED_TOKENS_VERSION}"
        tokenizer = read_tokenizer(once_per_machine(cache_dir / name, write_longer, ranks))
        new_tokens = token_list(tokenizer)[len(token_list(base_tokenizer)):]
        show(f"vocabulary: {len(new_tokens):,} tokens more, words and names, first those that cost the most pieces: {', '.join(map(repr, new_tokens[:6]))}")
    if config.max_length > bert_config.max_position_embeddings:
        raise ValueError(f"--max-length {config.max_length} is over the {bert_config.max_position_embeddings} positions of --init {config.init}")
    vocabulary, special = Vocabulary.of(tokenizer), special_ids(tokenizer)

    # ==== model =======================================================================================================
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    if config.init == "scratch":
        model = BertForMaskedLM(bert_config)
    else:
        model, report = read_masked_lm(folder, bert_config)
        show(f"{folder}: {report}")
    if new_tokens:
        pieces = [encoded.ids for encoded in base_tokenizer.encode_batch_fast([token.rstrip(",") for token in new_tokens], add_special_tokens=False)]
        bert_config = add_word_embeddings(model, len(token_list(base_tokenizer)), pieces)
    model.bert.encoder.recompute = config.gradient_checkpointing
    model.to(device).train()
    show(f"model: {sum(p.numel() for p in model.parameters()):,} parameters, {bert_config.num_hidden_layers} layers of {bert_config.hidden_size}, "
         f"vocabulary {bert_config.vocab_size:,}, on {device} in {str(amp_dtype(config.amp, device) or torch.float32).removeprefix('torch.')}, "
         f"attention by {attention_path(device, amp_dtype(config.amp, device), bert_config.head_size)}")

    # ==== data ========================================================================================================
    workers = config.workers or available_cores()
    cache = TokenCache(once_per_machine(
        cache_dir / f"tokens-{corpus_id}-{tokenizer_fingerprint(tokenizer)}",
        lambda unfinished: build_token_cache(unfinished, config.data, tokenizer, config.text_fields, workers, config.max_bad_rows), ranks))
    cache.counts.check_bad(config.max_bad_rows)
    train_documents, valid_documents = split_documents(len(cache), config.valid_fraction, seed)
    train_windows = Windows.cut(cache, train_documents, config.max_length)
    valid_windows = Windows.cut(cache, valid_documents, config.max_length)
    order = MicroBatchOrder(train_windows, config.micro_batch_tokens, seed)
    per_step = config.batch_tokens // config.micro_batch_tokens
    total_steps = config.max_steps if config.max_steps is not None else math.ceil(order.count(config.epochs) / per_step)
    eval_interval = config.eval_interval if config.eval_interval is not None else math.ceil(total_steps / 10)

    def training_batch(step: int, i: int):
        """Micro-batch i of the step's `per_step`, masked by (seed, step, i)."""
        ids, lengths = join_windows(cache, train_windows, order[(step - 1) * per_step + i], special["[CLS]"], special["[SEP]"])
        return masked_micro_batch(ids, lengths, vocabulary, config.mask_prob, config.mask_unit, keyed_generator(seed, MASK, step, i))

    def validation_batches():
        """This rank's share of the validation micro-batches, always masked the same way."""
        packed = pack(valid_windows.lengths, numpy.arange(len(valid_windows)), max(VALIDATION_TOKENS, config.max_length))
        for i in range(ranks.rank, len(packed), ranks.world_size):
            ids, lengths = join_windows(cache, valid_windows, packed[i], special["[CLS]"], special["[SEP]"])
            yield masked_micro_batch(ids, lengths, vocabulary, VALIDATION_MASK_PROB, "token", keyed_generator(seed, VALIDATION, i)).to(device)

    show(f"corpus: {cache.counts}")
    show(f"split: {len(train_documents):,} documents ({len(train_windows):,} windows of at most {config.max_length} tokens) for training, "
         f"{len(valid_documents):,} ({len(valid_windows):,}) for validation")
    show(f"batch: {config.batch_tokens:,} tokens = {config.micro_batch_tokens:,} x {per_step // ranks.world_size} micro-batch(es) "
         f"x {ranks.world_size} rank(s), {(train_windows.lengths + 2).sum() / (order.count(1) * config.micro_batch_tokens):.1%} full; {total_steps:,} steps = "
         f"{total_steps * per_step / order.count(1):.2f} epochs")
    first = training_batch(1, 0)
    show(f"masking: {masked_rates(first, vocabulary)}")
    for text in masked_as_text(first, tokenizer):
        show(f"  {text}")

    # ==== optimizer, ranks ============================================================================================
    ranks.connect()
    peak_lr = config.lr or (1e-3 if config.init == "scratch" else 1e-4)
    optimizer = make_adamw(model, peak_lr, config.weight_decay)
    dtype = amp_dtype(config.amp, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    guard = FiniteGuard(optimizer, device)

    def autocast():
        return torch.autocast(device.type, dtype) if dtype else nullcontext()

    # ==== resume: these four, weights, moments and scaler are all that the loop changes ================================
    done, tokens_seen, valid, history = 0, 0, None, []  # valid: the last evaluation; history: every validation loss
    identity = {"corpus": corpus_id, "tokenizer": tokenizer_fingerprint(tokenizer), "model": bert_config.to_dict(),
                **{name: getattr(config, name) for name in ("add_vocab", "add_names", "seed", "batch_tokens", "micro_batch_tokens", "max_length",
                                                            "valid_fraction", "mask_prob", "mask_unit")}}
    if config.resume:
        checkpoint = newest_checkpoint(out, show)
        if checkpoint:
            weights, moments, state = read_checkpoint(checkpoint)
            check_identity(state["identity"], identity, checkpoint)
            load_weights(model, weights)
            load_optimizer_tensors(model, optimizer, moments)
            if state["scaler"]:
                scaler.load_state_dict(state["scaler"])
            done, tokens_seen, valid, history = (state[name] for name in ("step", "tokens", "valid", "history"))
        elif out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
            raise ValueError(f"--resume: {out} is not empty and no run folder (it has no run.json)")
        if sum_over_ranks(torch.tensor(float(done), device=device)).item() != done * ranks.world_size:
            raise ValueError(f"--resume: the ranks found different checkpoints in {out}, this one that of step {done}; all machines must see the same --out")
        show(f"resuming from {checkpoint}, step {done}" if checkpoint else f"no checkpoint in {out}: starting at step 0")
        for changed in changed_options(config, out / "run.json"):
            show(f"  other than before: {changed}")

    # ==== run folder ==================================================================================================
    network = torch.compile(model) if config.compile else model
    if config.compile:
        show(f"compiling for micro-batches padded to {config.micro_batch_tokens:,} tokens: the first steps take much longer than the rest")
    if ranks.world_size > 1:
        network = DistributedDataParallel(network, gradient_as_bucket_view=True)
    riddles = choose_riddles(cache, valid_windows, tokenizer, keyed_generator(seed, GUESSES))
    if ranks.first:
        out.mkdir(parents=True, exist_ok=True)
        if config.resume:
            runlog.cut_back(out, done if valid else -1)  # without a checkpoint the evaluation of step 0 comes again too
        write_tokenizer(tokenizer, out, bert_config.max_position_embeddings)
        described = {"config": {name: value for name, value in asdict(config).items() if name != "resume"},
                     "data": {"fingerprint": corpus_id, "files": {path: os.path.getsize(path) for path in config.data}, **vars(cache.counts)},
                     "versions": {"beautybert": beautybert.__version__, "python": platform.python_version(),
                                  **{library.__name__: library.__version__ for library in (torch, tokenizers, safetensors, numpy)}},
                     "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(), "ranks": ranks.world_size}
        (out / "run.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        if not done:
            (out / "guesses.json").write_text(json.dumps({"before": guess(model, riddles, tokenizer, device)}), encoding="utf-8")
    log = runlog.RunLog(out, done, total_steps, ranks.first, config.tensorboard)

    def evaluate(step: int) -> dict:
        """Loss, perplexity and accuracy on the validation targets, summed over all ranks before anything is divided."""
        model.eval()
        sums = torch.zeros(3, dtype=torch.float64, device=device)
        with torch.no_grad(), autocast():
            for batch in validation_batches():
                sums += mlm_sums(model(batch.input_ids, batch.position_ids, batch.segments, batch.target_positions), batch.target_ids)
        model.train()
        metrics = {"step": step, **mlm_metrics(sum_over_ranks(sums))}
        if not math.isfinite(metrics["loss"]):
            raise ValueError(f"step {step}: the validation loss is {metrics['loss']}")
        history.append(metrics["loss"])
        log.write(split="valid", **metrics)
        log.say(f"validation at step {step}: loss {metrics['loss']:.4f}, perplexity {metrics['perplexity']:,.1f}, accuracy {metrics['accuracy']:.1%} "
                f"of {metrics['targets']:,} targets")
        return metrics

    def save(step: int) -> None:
        if ranks.first:
            state = {"identity": identity, "tokens": tokens_seen, "valid": valid, "history": history, "scaler": scaler.state_dict()}
            save_checkpoint(out, step, model.state_dict(), optimizer_tensors(model, optimizer), state, config.keep)

    # ==== loop ========================================================================================================
    saved_at = done
    valid = valid or evaluate(0)
    with deferred_signals() as received, runlog.profiler(log, out, config.profile and ranks.first) as profiler:
        clock, tokens_at_log = time.perf_counter(), tokens_seen
        for step in range(done + 1, total_steps + 1):
            # ---- one optimizer step ----------------------------------------------------------------------------------
            batches = [(i, training_batch(step, i)) for i in range(ranks.rank, per_step, ranks.world_size)]
            mine = [sum(len(b.target_ids) for _, b in batches), sum(len(b.input_ids) for _, b in batches), len(received)]
            targets, tokens, stop = sum_over_ranks(torch.tensor(mine, dtype=torch.float64)).tolist()  # on the host: no GPU is waited for
            targets = max(targets, 1)  # a batch of [UNK] alone has none
            lr = learning_rate(step, total_steps, peak_lr, config.warmup, config.schedule)
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            for n, (i, batch) in enumerate(batches, start=1):
                batch = (batch.padded_to(config.micro_batch_tokens, special["[PAD]"]) if config.compile else batch).to(device)
                torch.manual_seed(keyed_seed(seed, DROPOUT, step, i))
                with nullcontext() if n == len(batches) or ranks.world_size == 1 else network.no_sync():
                    with autocast():
                        logits = network(batch.input_ids, batch.position_ids, batch.segments, batch.target_positions)  # (M, V)
                        loss = F.cross_entropy(logits.float(), batch.target_ids, reduction="sum")
                    scaler.scale(loss * (ranks.world_size / targets)).backward()  # DistributedDataParallel averages over the ranks
                loss_sum += loss.detach()
            scaler.unscale_(optimizer)
            grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf)
            loss = sum_over_ranks(loss_sum) / targets
            logs = step % config.log_interval == 0 or step == total_steps
            evaluates = step == total_steps or (eval_interval and step % eval_interval == 0)
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
                log.write(step, "train", loss=loss.item(), lr=lr, grad_norm=grad_norm.item(), targets=int(targets), tokens=tokens_seen,
                          tokens_per_second=round(speed, 1), epoch=order.epoch_of(step * per_step - 1))
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
        show(f"stopped by a signal after step {saved_at} and saved a checkpoint; continue with the same command and --resume. The model is written at the end")
        sys.exit(128 + (received[0] if received else 15))

    # ==== export ======================================================================================================
    if valid["step"] < saved_at:
        valid = evaluate(saved_at)
    log.close()
    if ranks.first:
        write_model(out, model, bert_config)
        before = json.loads((out / "guesses.json").read_text(encoding="utf-8"))["before"]
        guesses = [{"text": riddle_text(riddle, tokenizer), "before": old, "after": new}
                   for riddle, old, new in zip(riddles, before, guess(model, riddles, tokenizer, device))]
        (out / "guesses.json").write_text(json.dumps({"before": before, "guesses": guesses}, indent=1, ensure_ascii=False), encoding="utf-8")
        for g in guesses:
            show(f"{g['text']}\n    before: {g['before']}\n    after:  {g['after']}")
        plot = runlog.plot_losses(out)
        show(f"validation loss: {history[0]:.4f} at the start, {valid['loss']:.4f} at the end, {min(history):.4f} at best; "
             f"perplexity {valid['perplexity']:,.1f}, accuracy {valid['accuracy']:.1%}\n"
             f"model and logs are in {out}" + (f", the losses in {plot}" if plot else ""))
    return {"step": saved_at, "tokens": tokens_seen, "initial_loss": history[0], "best_loss": min(history), "valid": valid}


if __name__ == "__main__":
    sys.exit(run_command(Config, __doc__, main))
