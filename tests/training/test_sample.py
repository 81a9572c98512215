"""The generated sample is found wherever the package is, and nothing else is taken for it."""

import shutil
from pathlib import Path

import pytest

from beautybert.training import sample
from tests.conftest import ROOT, SAMPLE


def test_the_sample_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert sample.path_of("cosmetics.csv") == str(Path("data", "sample", "cosmetics.csv"))
    monkeypatch.chdir(tmp_path)
    assert sample.path_of("cosmetics.csv") == str(SAMPLE / "cosmetics.csv")
    Path("data/sample").mkdir(parents=True)
    Path("data/sample/cosmetics.csv").write_text("another's", encoding="utf-8")
    assert sample.path_of("cosmetics.csv") == str(SAMPLE / "cosmetics.csv")
    assert sample.is_sample([sample.path_of("cosmetics.csv")])


def test_the_installed_sample_is_known_as_the_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    installed = tmp_path / "site-packages" / "beautybert"
    (installed / "data" / "sample").mkdir(parents=True)
    shutil.copy(SAMPLE / "cosmetics.csv", installed / "data" / "sample")
    monkeypatch.setattr(sample, "__file__", str(installed / "training" / "sample.py"))
    path = sample.path_of("cosmetics.csv")
    assert path == str(installed / "data" / "sample" / "cosmetics.csv") and sample.is_sample([path])


@pytest.mark.parametrize(
    "data, expected",
    [
        (["data/sample/cosmetics.csv"], True),  # on another machine: by its name
        (["data/sample/cosmetics.csv", "data/sample/meta_All_Beauty.json.gz"], True),
        (["data/sample/cosmetics.csv", "client.csv"], False),
        (["data/sample/mine.csv"], False),
        (["data/cosmetics.csv"], False),
        ([], False),
    ],
)
def test_all_files_must_be_of_the_sample(tmp_path, monkeypatch, data, expected):
    monkeypatch.chdir(tmp_path)
    assert sample.is_sample(data) == expected


def test_a_file_of_the_same_name_with_other_contents_is_not_the_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE, "data/sample")
    path = Path("data/sample/cosmetics.csv")
    assert sample.is_sample([str(path)])
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert not sample.is_sample([str(path)])
