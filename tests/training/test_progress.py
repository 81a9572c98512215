import io
import sys
from dataclasses import replace

import train_cls
import train_mlm
from beautybert import predict
from beautybert.training import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at_terminal(monkeypatch) -> Terminal:
    """A terminal in the place of stderr, and bars that show at once."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "DELAY", 0)
    return sys.stderr


def test_a_bar_counts_its_items_and_is_gone_at_the_end(monkeypatch):
    terminal = at_terminal(monkeypatch)
    assert list(progress.bar([3, 4], "reading", unit="row")) == [3, 4]
    shown = terminal.getvalue()
    assert "reading:   0%" in shown and "0/2 [00:00<?, ?row/s]" in shown
    assert shown.endswith("\r") and not shown.split("\r")[-2].strip()  # overwritten by blanks


def test_what_is_done_soon_shows_no_bar(monkeypatch):
    terminal = at_terminal(monkeypatch)
    monkeypatch.setattr(progress, "DELAY", 60)
    assert len(list(progress.bar(range(1000), "reading"))) == 1000
    assert terminal.getvalue().strip() == ""


def test_where_stderr_is_no_terminal_and_on_other_ranks_nothing_is_shown(monkeypatch):
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("RANK", "1")
    assert list(progress.bar([3], "reading")) == [3]
    monkeypatch.delenv("RANK")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress.bar([3], "reading")) == [3]
    assert sys.stderr.getvalue() == terminal.getvalue() == ""


def test_all_that_may_take_long_shows_a_bar(cls_config, config, tmp_path, monkeypatch):
    terminal = at_terminal(monkeypatch)
    train_cls.main(replace(cls_config, head="mlp", max_steps=1))
    shown = terminal.getvalue()
    for what in ("reading cosmetics", "reading sephora", "validation", "test", "LinearSVC, both"):
        assert f"\r{what}:   0%|" in shown, what
    assert "\rlinear model over words:   0%|" in shown and "1/1 [" in shown  # the training step
    train_mlm.main(replace(config, init="scratch", vocab_size=100, out=str(tmp_path / "mlm")))
    shown = terminal.getvalue().removeprefix(shown)
    for what in ("reading texts", "validation"):
        assert f"\r{what}:   0%|" in shown, what
    asked = predict.PredictConfig(
        cls_config.out, name="Velvet Drops", ingredients="water, retinol", explain=True
    )
    predict.main(asked)
    assert "\ringredients: documents:   0%|" in terminal.getvalue()


def test_bars_are_silent_without_a_terminal(cls_config, monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0)
    train_cls.main(replace(cls_config, max_steps=1))
    assert capsys.readouterr().err == ""


def test_a_row_that_is_explained_moves_the_bar(cls_config, tmp_path, monkeypatch):
    """Not only each part of the table, which takes minutes."""
    at_terminal(monkeypatch)
    train_cls.main(replace(cls_config, max_steps=0, baseline=False))
    rows = "".join(f'"water, retinol, mint {i}"\n' for i in range(5))
    (tmp_path / "table.csv").write_text(f"ingredients\n{rows}", encoding="utf-8")
    seen = []
    explain = predict.explain

    def explained(*arguments):
        seen.append([bar.n for bar in predict.tqdm._instances if bar.unit == "row"])
        return explain(*arguments)

    monkeypatch.setattr(predict, "explain", explained)
    predict.main(
        predict.PredictConfig(cls_config.out, input=str(tmp_path / "table.csv"), explain=True)
    )
    assert seen == [[0], [1], [2], [3], [4]]
