"""Runs beside one another, from the files of their folders alone."""

import json

import pytest

from beautybert import plots
from beautybert.cls.model_card import wilson_interval
from beautybert.plots import PlotsConfig, main
from beautybert.training import options
from beautybert.training import plots as style
from tests.conftest import curves, pixels


def write_run(folder, losses=(3.0, 1.0), tokens=100, report=None):
    """A run with a line of training every 2 steps, and an evaluation every 3."""
    folder.mkdir(parents=True)
    rows = [{"step": 0, "split": "valid", "loss": 4.0}]
    for i, loss in enumerate(losses, 1):
        rows.append({"step": 2 * i, "split": "train", "loss": loss, "tokens": 2 * i * tokens})
        rows.append({"step": 3 * i, "split": "valid", "loss": loss / 2})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if report is not None:
        (folder / "labels.json").write_text("[]")
        (folder / "report.json").write_text(json.dumps(report))
    return str(folder)


def scores(accuracy, products=100, svc=None):
    linear_svc = {"accuracy": svc, "macro_f1": 0.1} if svc is not None else None
    return {"accuracy": accuracy, "products": products, "tfidf_linear_svc": linear_svc}


def report_of(accuracy=0.8, svc=None, **by_input):
    return {**scores(accuracy, svc=svc), "per_class": {"a": {}, "b": {}}, "by_input": by_input}


@pytest.fixture
def out(tmp_path):
    pytest.importorskip("matplotlib")
    return tmp_path / "pictures"


# ---- what is drawn -----------------------------------------------------------------------------


def test_losses_are_over_steps_and_over_tokens(tmp_path, out, drawn, capsys):
    runs = (write_run(tmp_path / "one"), write_run(tmp_path / "two", (2.0, 1.0, 1.5), tokens=10))
    main(PlotsConfig(runs, str(out)))
    by_step, by_token = drawn["loss.png"].axes
    one, two = (by_step.get_lines()[i].get_xydata().tolist() for i in (0, 3))
    assert one == [[2, 3.0], [4, 1.0]]
    assert two == [[2, 2.0], [4, 1.0], [6, 1.5]]
    lines = [line.get_xydata().tolist() for line in by_token.get_lines()]
    # an evaluation is between lines of training; after the last, it has as many tokens
    assert lines[0] == [[200, 3.0], [400, 1.0]]
    assert lines[1] == [[0, 4.0], [300, 1.5], [400, 0.5]]
    assert lines[3] == [[0, 4.0], [30, 1.0], [60, 0.5], [60, 0.75]]
    assert list(curves(by_step)) == ["one", "two"]
    assert (by_step.get_xlabel(), by_token.get_xlabel()) == ("step", "tokens trained on")
    assert by_step.get_ylabel() == "loss (nats a target)"
    assert [path.name for path in out.iterdir()] == ["loss.png"], "no classifier is among them"
    assert pixels(out / "loss.png") == (1200, 700)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "one: validation loss 0.5000 at step 6, 0.5000 at best"
    assert shown[1] == "two: validation loss 0.7500 at step 9, 0.5000 at best"
    assert shown[2] == f"pictures: {out / 'loss.png'}"


def test_accuracies_stand_by_input_with_their_intervals_beside_linear_svc(
    tmp_path, out, drawn, capsys
):
    first = report_of(0.8, svc=0.7, name=scores(0.5, 40, svc=0.25))
    runs = (
        write_run(tmp_path / "first", report=first),
        write_run(tmp_path / "second", report=report_of(1.0, ingredients=scores(0.0))),
    )
    main(PlotsConfig(runs, str(out)))
    (axes,) = drawn["accuracy.png"].axes
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        "as they are",
        "name alone",
        "list alone",
    ]
    expected = {(0, 0.8, 100), (0, 0.7, 100), (1, 0.5, 40), (1, 0.25, 40), (0, 1.0, 100)}
    expected.add((2, 0.0, 100))
    found = set()
    for point in axes.containers:
        ((x, share),) = point.lines[0].get_xydata()
        (segment,) = point.lines[2][0].get_segments()
        count = next(count for _, value, count in expected if value == share)
        assert segment[:, 1] == pytest.approx(wilson_interval(share, count), abs=1e-9)
        found.add((round(x), share, count))
    assert found == expected
    assert list(curves(axes)) == ["first (2 labels)", "second (2 labels)", "LinearSVC beside it"]
    written = {text.get_text() for text in axes.texts}
    assert written == {"80.0", "70.0", "50.0", "25.0", "100.0", "0.0"}
    assert pixels(out / "accuracy.png") == (1200, 700)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.endswith(
        "; as they are 80.0% of 100 right, LinearSVC 70.0%; name alone 50.0% of 40 right, "
        "LinearSVC 25.0%"
    )


def test_a_classifier_that_is_not_finished_has_losses_alone(tmp_path, out):
    run = write_run(tmp_path / "run", report={})
    (tmp_path / "run" / "report.json").unlink()
    main(PlotsConfig((run,), str(out)))
    assert [path.name for path in out.iterdir()] == ["loss.png"]


def test_runs_are_told_apart_and_a_run_is_drawn_once(tmp_path, out, drawn):
    long = write_run(tmp_path / ("x" * 200))
    runs = [write_run(tmp_path / name / "mlm") for name in ("a", "b")]
    main(PlotsConfig((*runs, long, runs[0], f"{runs[0]}/../mlm"), str(out)))
    by_step = drawn["loss.png"].axes[0]
    labels = list(curves(by_step))
    assert len(labels) == 3 and max(map(len, labels)) <= plots.LONGEST
    assert [label[-5:] for label in labels] == ["a/mlm", "b/mlm", "xxxxx"]


def test_every_run_has_a_look_of_its_own(tmp_path, out, drawn):
    runs = tuple(write_run(tmp_path / f"run {i}") for i in range(plots.MOST_RUNS))
    main(PlotsConfig(runs, str(out)))
    lines = [line for line in drawn["loss.png"].axes[0].get_lines() if line.get_label()[0] != "_"]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(lines) == plots.MOST_RUNS


def test_lines_that_are_none_of_ours_do_no_harm(tmp_path, out, drawn):
    run = write_run(tmp_path / "run")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 1, "split": "valid", "loss": NaN}\nnothing\n{"step": 9, "split": "va')
    main(PlotsConfig((run,), str(out)))
    assert len(drawn["loss.png"].axes[0].get_lines()[1].get_xydata()) == 3


# ---- what is wrong -----------------------------------------------------------------------------


def wrong(runs, out):
    """The message, which must be one line; nothing may be made."""
    with pytest.raises(ValueError) as error:
        main(PlotsConfig(tuple(runs), str(out)))
    assert "\n" not in str(error.value)
    assert not out or not out.exists() or not list(out.rglob("*.png"))
    return str(error.value)


def test_folders_that_are_no_runs_are_named(tmp_path, out):
    good = write_run(tmp_path / "good")
    (tmp_path / "empty").mkdir()
    message = wrong([good, tmp_path / "empty"], out)
    assert message.startswith(f"{tmp_path / 'empty'} has no metrics.jsonl: name run folders")
    assert wrong([tmp_path / "none"], out).startswith(f"{tmp_path / 'none'} is no folder")
    (tmp_path / "empty" / "metrics.jsonl").write_text("nothing\n")
    assert "metrics.jsonl has no loss in it" in wrong([tmp_path / "empty"], out)


def test_a_folder_of_pictures_is_new(tmp_path, out):
    run = write_run(tmp_path / "run")
    out.mkdir()
    assert wrong([run], out) == f"--out {out} exists: name a new folder"
    assert "--out FOLDER is missing" in wrong([run], "")


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(style.importlib.util, "find_spec", lambda name: None)
    message = wrong([write_run(tmp_path / "run")], tmp_path / "pictures")
    assert message == "matplotlib is missing: pip install -e '.[plots]'"


def test_losses_of_unlike_tasks_are_not_compared(tmp_path, out):
    runs = [write_run(tmp_path / "mlm"), write_run(tmp_path / "cls", report=report_of())]
    assert wrong(runs, out).endswith("compare them apart")


def test_more_runs_than_there_are_looks_are_refused(tmp_path, out):
    runs = [write_run(tmp_path / f"{i}") for i in range(plots.MOST_RUNS + 1)]
    assert f"{plots.MOST_RUNS + 1} runs" in wrong(runs, out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"accuracy": 7},
            "report.json, as they are: accuracy is 7, must be a number of at least 0",
        ),
        ({"products": 0}, "report.json, as they are: products is 0"),
        ({"by_input": []}, "report.json: by_input is []"),
        ({"by_input": {"name": 3}}, "report.json: by_input: name is 3"),
        ({"per_class": None}, "report.json: per_class is null"),
        ({"tfidf_linear_svc": {"macro_f1": 1}}, "as they are: tfidf_linear_svc has no accuracy"),
    ],
)
def test_a_report_that_is_not_ours_is_named_with_its_field(tmp_path, out, change, message):
    assert message in wrong([write_run(tmp_path / "run", report=report_of() | change)], out)


def test_the_command_takes_several_runs_and_asks_for_one(capsys):
    asked = options.parse(PlotsConfig, "test", ["one", "two", "--out", "pictures"])
    assert asked == PlotsConfig(("one", "two"), "pictures")
    with pytest.raises(SystemExit):
        options.parse(PlotsConfig, "test", ["--out", "pictures"])
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "required: RUN" in message
