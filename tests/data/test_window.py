"""Images of more than 8 bits: one window for the data set, kept with the model; 8-bit images as ever."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from owkd.config import NO_DISTILLATION, Config, DataConfig, parse_config
from owkd.data.checking import check_dataset
from owkd.data.images import load_images
from owkd.data.index import SPLITS, Split, SplitName, read_split
from owkd.data.reading import survey as survey_module
from owkd.data.reading.picture import decode, decode_whole
from owkd.data.reading.places import CACHE_FOLDER
from owkd.data.reading.survey import pixel_fingerprint, window_for
from owkd.data.reading.window import Window, as_grey, window_in_words
from owkd.errors import CheckpointError, ConfigError, DataError
from owkd.evaluation.embedding_table import embed_folder
from owkd.evaluation.evaluate import evaluate_checkpoint
from owkd.models.checkpoint import IMPORTED, load_model, read_info, require_teacher, save_model
from owkd.models.presets import architecture
from owkd.training.prepare import build_network, open_fold
from owkd.training.run import run

PEOPLE: dict[SplitName, range] = {"train": range(4), "validation": range(4, 6), "test": range(6, 9)}
SIDE = 32


def scene(low: float, high: float, dtype: Any, seed: int) -> np.ndarray:
    """Grey values that fill a span, as a camera's of one room."""
    values = np.random.default_rng(seed).uniform(low, high, (40, 24))
    return np.round(values).astype(dtype) if np.dtype(dtype).kind == "u" else values.astype(dtype)


def write(root: Path, low: float, high: float, dtype: Any = np.uint16, suffix: str = ".tiff") -> DataConfig:
    """A data set of three images a person in one fold."""
    for split, people in PEOPLE.items():
        for person in people:
            folder = root / "D" / "Fold1" / split / "allcam" / f"{person:04d}"
            folder.mkdir(parents=True)
            for number in range(3):
                image = Image.fromarray(scene(low, high, dtype, 100 * person + number))
                image.save(folder / f"{number}{suffix}")
    return DataConfig(root=root, dataset="D", image_size=SIDE)


def stretched(deep: DataConfig, root: Path, window: Window) -> DataConfig:
    """The same images as 8-bit PNG files."""
    for split in SPLITS:
        for file in read(deep, split).files:
            copy = root / file.relative_to(deep.root).with_suffix(".png")
            copy.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(as_grey(np.asarray(Image.open(file)), window)).save(copy)
    return DataConfig(root=root, dataset="D", image_size=SIDE)


def read(data: DataConfig, split: SplitName = "train") -> Split:
    return read_split(data.root, data.dataset, "Fold1", split)


def configured(data: DataConfig, window: Any = "auto", **sections: Any) -> Config:
    return parse_config({"data": {**data.model_dump(mode="json"), "window": window}, **sections})


def levels(image: Image.Image) -> int:
    return len(np.unique(np.asarray(image)))


@pytest.mark.parametrize(
    ("low", "high", "dtype", "before", "least"),
    [
        (5991, 7745, np.uint16, 8, 240),
        (6743, 7077, np.uint16, 2, 240),
        (0, 4095, np.uint16, 16, 240),
        (30000, 30060, np.uint16, 2, 59),
        (18.5, 36.4, np.float32, None, 240),
        (-273.15, 60, np.float32, None, 240),
    ],
)
def test_a_thermal_scene_keeps_its_grey_levels(
    tmp_path: Path, low: float, high: float, dtype: Any, before: int | None, least: int
) -> None:
    data = write(tmp_path, low, high, dtype)
    file = read(data).files[0]
    if before is None:
        with pytest.raises(ValueError, match=r"floating point.*data\.window"):
            decode_whole(file)
    else:
        assert levels(decode_whole(file)) <= before
    window = window_for(read(data), data)
    assert isinstance(window, tuple)
    assert low <= window[0] < low + 0.01 * (high - low) + 1
    assert high - 0.01 * (high - low) - 1 < window[1] <= high
    assert levels(decode_whole(file, window)) >= least
    assert check_dataset(tmp_path / "D").findings == []


def test_a_window_is_256_equal_steps_and_beyond_it_all_is_black_or_white() -> None:
    values = np.array([[99, 100, 101, 355, 356, 400]], np.uint16)
    assert as_grey(values, (100, 356)).tolist() == [[0, 0, 1, 255, 255, 255]]
    assert as_grey(np.array([[np.nan, -np.inf, np.inf, 0.5]]), (0, 1)).tolist() == [[0, 0, 255, 128]]
    everything = np.arange(65536, dtype=np.uint16)[None]
    assert (as_grey(everything, (0, 65536)) == everything >> 8).all()
    assert as_grey(np.array([[5, 7]]), "per_image").tolist() == [[0, 255]]
    assert not as_grey(np.full((2, 2), 9.0), "per_image").any()


def test_dead_pixels_do_not_widen_a_window(tmp_path: Path) -> None:
    data = write(tmp_path, 6743, 7077)
    before = window_for(read(data), data)
    values = scene(6743, 7077, np.uint16, 0)
    values[0, :2] = (0, 65535)  # one of 960 each, in one image of twelve
    Image.fromarray(values).save(read(data).files[0])
    window = window_for(read(data), data)
    assert isinstance(window, tuple)
    assert window == pytest.approx(before, abs=2)


def test_a_deep_set_is_trained_and_evaluated_as_its_8_bit_stretch(tmp_path: Path) -> None:
    """Of 60 grey values in 65,536: equal pixels in every split, so equal trainings; and equal figures of a model."""
    deep = write(tmp_path / "deep", 30000, 30060)
    window = window_for(read(deep), deep)
    flat = stretched(deep, tmp_path / "flat", window)
    one, other = open_fold(configured(deep), "Fold1"), open_fold(configured(flat), "Fold1")
    np.testing.assert_array_equal(one.training_set.images, other.training_set.images)
    np.testing.assert_array_equal(one.validation_images, other.validation_images)
    assert np.asarray(one.training_set.images).std() > 20
    assert (one.window, other.window) == (window, None)

    model = build_network(architecture("nano"), 4, SIDE, "student", seed=0)
    save_model(model, tmp_path / "deep.safetensors", window=one.window)
    save_model(model, tmp_path / "flat.safetensors", window=other.window)
    results = [
        evaluate_checkpoint(tmp_path / f"{data.root.name}.safetensors", data, fold="Fold1", split="test")[0]
        for data in (deep, flat)
    ]
    np.testing.assert_array_equal(results[0].average_precision, results[1].average_precision)


@pytest.mark.numeric
def test_a_deep_set_is_trained_to_the_numbers_of_its_stretch(tmp_path: Path) -> None:
    """The whole way, from two epochs of training to a test by the model file, whose window is then applied."""
    deep = write(tmp_path / "deep", 30000, 30060)
    window = window_for(read(deep), deep)
    flat = stretched(deep, tmp_path / "flat", window)
    said: list[str] = []
    results = []
    for data in (deep, flat):
        config = configured(
            data,
            train={"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "device": "cpu", "threads": 1},
            student={"preset": "nano"},
            distill=NO_DISTILLATION.model_dump(mode="json"),
        )
        trained = run(config, fold="Fold1", directory=data.root / "run", say=said.append)
        figures = [{key: value for key, value in epoch.metrics.items() if "/" in key} for epoch in trained.history]
        tested = evaluate_checkpoint(trained.checkpoint, data, fold="Fold1", split="test")[0]
        results.append((figures, tested.average_precision.tolist()))
    assert results[0] == results[1]
    assert said == [
        f"Images of more than 8 bits: grey values {window_in_words(window)} are black to white (data.window)."
    ]


def test_8_bit_images_files_and_caches_are_as_they_were(tmp_path: Path) -> None:
    """The name of the decoded array, the fingerprints and a model's file are those of versions without windows."""
    data = write(tmp_path, 0, 255, np.uint8, ".png").model_copy(update={"window": (10.0, 20.0)})
    train = read(data)
    window = window_for(train, data)
    assert window is None
    assert pixel_fingerprint(train, window) == train.fingerprint
    loaded = load_images(train, SIDE, None, window)
    expected = Image.open(train.files[0]).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(loaded[0], np.asarray(expected))
    key = hashlib.sha256(f"{train.fingerprint} {SIDE} 1".encode()).hexdigest()[:20]
    assert (tmp_path / "D" / CACHE_FOLDER / f"Fold1-train-{SIDE}-{key}.npy").is_file()
    model = build_network(architecture("nano"), 4, SIDE, "student", seed=0)
    save_model(model, tmp_path / "model.safetensors", window=window)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert "window" not in json.loads(file.metadata()["owkd"])


def test_the_cache_knows_the_window(tmp_path: Path) -> None:
    data = write(tmp_path, 5000, 6000)
    train = read(data)
    windows: list[Window] = [None, (5000.0, 6000.0), (5000.0, 7000.0), "per_image"]
    assert len({pixel_fingerprint(train, window) for window in windows}) == len(windows)
    images = [np.array(load_images(train, SIDE, None, window)) for window in windows]
    for window, loaded in zip(windows, images, strict=True):
        np.testing.assert_array_equal(loaded[0], decode(train.files[0], SIDE, window))
    assert len({image.tobytes() for image in images}) == len(windows)


def test_the_window_that_was_found_is_remembered_and_a_damaged_note_found_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path, 5000, 6000)
    window = window_for(read(data), data)
    assert not (tmp_path / "D" / CACHE_FOLDER).exists(), "images may yet turn out to be damaged"
    open_fold(configured(data), "Fold1")
    survey_module._found.clear()
    assert window_for(read(data), data) == window
    (note,) = (tmp_path / "D" / CACHE_FOLDER).glob("Fold1-train-window-*.json")
    content = note.read_text()
    note.write_text(content.replace("5", "6", 1))
    assert window_for(read(data), data) == window
    open_fold(configured(data), "Fold1")
    assert note.read_text() == content
    survey_module._found.clear()
    monkeypatch.setattr("owkd.data.reading.survey.auto_window", None)
    assert window_for(read(data), data) == window


def test_what_a_configuration_may_say(tmp_path: Path) -> None:
    data = write(tmp_path, 5000, 6000)
    for given, expected in (([1, 2.5], (1.0, 2.5)), ("per_image", "per_image"), ([0, 65536], None)):
        config = configured(data, window=given)
        assert window_for(read(data), config.data) == expected
    for wrong, words in (
        ([7, 7], "low below high"),
        ("automatic", "automatic"),
        ([1, 2, 3], "window"),
        ([1, True], "low"),
        (None, "auto"),
    ):
        with pytest.raises(ConfigError, match=words):
            configured(data, window=wrong)


def test_training_images_of_one_value_are_refused_by_training_and_by_the_check(tmp_path: Path) -> None:
    data = write(tmp_path, 700, 700)
    with pytest.raises(DataError, match=r"must differ in their grey values.*are 700"):
        open_fold(configured(data), "Fold1")
    assert "no_window" in {finding.kind for finding in check_dataset(tmp_path / "D").fatal}


@pytest.mark.parametrize(
    ("low", "high", "dtype", "window", "words"),
    [
        (5991, 7745, np.uint16, (0.0, 65536.0), "8 grey levels at most.*from 59.. to 77...*set data.window to auto"),
        (0, 4095, np.uint16, (0.0, 65536.0), "almost black.*all of 16 bits"),
        (20.0, 30.0, np.float32, (100.0, 200.0), "1 grey level at most, from 0 to 0, almost black"),
        (30000, 30001, np.uint16, "auto", "2 grey levels at most"),
        (0, 1, np.uint8, "auto", "2 grey levels at most, from 0 to 1, almost black; export them anew"),
        (100, 110, np.uint8, "auto", "11 grey levels at most, from 100 to 110"),
    ],
)
def test_the_check_finds_images_that_show_next_to_nothing(
    tmp_path: Path, low: float, high: float, dtype: Any, window: Any, words: str
) -> None:
    write(tmp_path, low, high, dtype)
    found = [finding for finding in check_dataset(tmp_path / "D", window).fatal if finding.kind == "too_few_levels"]
    assert {finding.where for finding in found} == {f"Fold1/{split}" for split in SPLITS}
    train = next(finding for finding in found if finding.where == "Fold1/train")
    assert len(train.paths) == 12
    assert "12 of 12" in train.text
    assert re.search(words, train.text), train.text


def drawn(root: Path, levels: int) -> Path:
    """A data set of 8-bit images of so many grey levels, from black to white."""
    write(root, 0, levels - 1, np.uint8, ".png")
    for file in (root / "D").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(file)) * (255 // (levels - 1))).save(file)
    return root / "D"


def test_two_levels_are_fatal_unless_they_are_meant(tmp_path: Path) -> None:
    folder = drawn(tmp_path, 2)
    report = check_dataset(folder)
    assert [finding.kind for finding in report.fatal] == ["too_few_levels"] * 3
    words = "training would see 2 grey levels at most, from 0 to 255; .*; drawings and silhouettes .* with --binary$"
    assert re.search(words, report.fatal[0].text)
    assert check_dataset(folder, binary=True).findings == []


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (200, 201)])
def test_black_blank_and_faint_images_are_never_meant(tmp_path: Path, low: int, high: int) -> None:
    write(tmp_path, low, high, np.uint8, ".png")
    report = check_dataset(tmp_path / "D", binary=True)
    assert {finding.kind for finding in report.fatal} >= {"too_few_levels"}
    assert not any("--binary" in finding.text for finding in report.findings)


def test_drawings_of_a_few_levels_are_a_warning(tmp_path: Path) -> None:
    report = check_dataset(drawn(tmp_path, 4))
    assert report.fatal == ()
    assert [finding.kind for finding in report.findings] == ["too_few_levels"] * 3
    assert report.findings[0].text.startswith("12 of 12 images have contrast, but fewer than 16 grey levels")


def test_a_teacher_with_another_window_is_refused(tmp_path: Path) -> None:
    model = build_network(architecture("nano"), 4, SIDE, "teacher", seed=0)
    path = tmp_path / "teacher.safetensors"
    save_model(model, path, origin="D/Fold1", window=(5000.0, 6000.0))
    fits: dict[str, Any] = {"shape": architecture("nano"), "image_size": SIDE, "identities": (0, 1, 2, 3)}
    assert require_teacher(path, **fits, window=(5000.0, 6000.0)).window == (5000.0, 6000.0)
    with pytest.raises(CheckpointError, match=r"set data\.window to \[5000\.0, 6000\.0\]"):
        require_teacher(path, **fits, window=(5000.0, 6500.0))
    assert load_model(path)[1] == read_info(path)
    for origin, words in (
        (IMPORTED, "import it again with --window"),
        ("D/Fold1", r"set data\.window to \[0, 65536\]"),
    ):
        save_model(model, path, origin=origin)
        with pytest.raises(CheckpointError, match=words):
            require_teacher(path, **fits, window=(5000.0, 6500.0))
        assert require_teacher(path, **fits).window is None


def test_whoever_embeds_is_told_where_images_and_model_do_not_meet(tmp_path: Path) -> None:
    data = write(tmp_path, 5991, 7745)
    model = build_network(architecture("nano"), 4, SIDE, "student", seed=0)
    said: list[str] = []
    save_model(model, tmp_path / "8.safetensors")
    evaluate_checkpoint(tmp_path / "8.safetensors", data, fold="Fold1", split="test", say=said.append)
    assert [line.partition(" and ")[0] for line in said] == [
        "9 of 9 images have more than 8 bits, but the model was trained on 8-bit images"
    ]
    save_model(model, tmp_path / "16.safetensors", window=(5991.0, 7745.0))
    evaluate_checkpoint(tmp_path / "16.safetensors", data, fold="Fold1", split="test", say=said.append)
    assert len(said) == 1
    Image.fromarray(scene(0, 255, np.uint8, 0)).save(tmp_path / "plain.png")
    embed_folder(tmp_path / "16.safetensors", tmp_path, tmp_path / "out.parquet", say=said.append)
    assert said[1].startswith("1 of 28 images have 8 bits, but the model was trained on more")
