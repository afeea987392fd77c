import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from owkd.data import images as images_module
from owkd.data.images import load_images
from owkd.data.index import Split, read_split
from owkd.data.reading.picture import decode
from owkd.data.reading.places import CACHE_FOLDER
from owkd.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for identity in ("0001", "0002"):
        folder = tmp_path / "data" / "D" / "Fold1" / "train" / "allcam" / identity
        folder.mkdir(parents=True)
        for name in ("a.png", "größe 人.png"):
            Image.fromarray(rng.integers(0, 256, (20, 12), dtype=np.uint8)).save(folder / name)
    return tmp_path / "data"


def split_of(root: Path) -> Split:
    return read_split(root, "D", "Fold1", "train")


def arrays(folder: Path) -> list[Path]:
    """Whatever is stored but for what is remembered of the files."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")


def expected(split: Split, size: int) -> np.ndarray:
    """The published steps, one image at a time."""
    return np.stack(
        [
            np.asarray(Image.open(split.folder / path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
            for path in split.paths
        ]
    )


def test_images_come_in_the_order_of_the_index_as_a_read_only_map(root: Path) -> None:
    split = split_of(root)
    loaded = load_images(split, 8)
    assert isinstance(loaded, np.memmap)
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, expected(split, 8))
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0, 0, 0] = 1


def test_decoding_happens_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(load_images(split_of(root), 8))
    (file,) = arrays(root / "D" / CACHE_FOLDER)
    assert file.name.startswith("Fold1-train-8-")

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(images_module, "decode", refuse)
    np.testing.assert_array_equal(load_images(split_of(root), 8), first)


def test_the_cache_is_no_part_of_the_index(root: Path) -> None:
    before = split_of(root).fingerprint
    load_images(split_of(root), 8)
    assert split_of(root).fingerprint == before


def test_a_changed_image_is_seen_and_the_outdated_array_removed(root: Path) -> None:
    stale = np.array(load_images(split_of(root), 8))
    load_images(split_of(root), 16)
    image = root / "D/Fold1/train/allcam/0001/a.png"
    stamp = image.stat().st_mtime_ns
    Image.fromarray(np.full((20, 12), 77, dtype=np.uint8)).save(image)
    os.utime(image, ns=(stamp, stamp + 1))
    fresh = load_images(split_of(root), 8)
    assert np.all(fresh[0] == 77)
    np.testing.assert_array_equal(fresh[1:], stale[1:])
    names = [path.name for path in arrays(root / "D" / CACHE_FOLDER)]
    assert [name.rsplit("-", 1)[0] for name in names] == ["Fold1-train-16", "Fold1-train-8"]


def test_an_added_and_a_removed_image_are_seen(root: Path) -> None:
    load_images(split_of(root), 8)
    folder = root / "D/Fold1/train/allcam/0002"
    shutil.copy(folder / "a.png", folder / "b.png")
    assert len(load_images(split_of(root), 8)) == 5
    (folder / "a.png").unlink()
    assert len(load_images(split_of(root), 8)) == 4
    assert len(arrays(root / "D" / CACHE_FOLDER)) == 1


def test_a_truncated_array_is_made_again(root: Path) -> None:
    before = np.array(load_images(split_of(root), 8))
    (file,) = arrays(root / "D" / CACHE_FOLDER)
    file.write_bytes(file.read_bytes()[:-5])
    np.testing.assert_array_equal(load_images(split_of(root), 8), before)


def test_a_damaged_array_is_made_again_and_one_without_a_checksum_still_opens(root: Path) -> None:
    before = np.array(load_images(split_of(root), 8))
    (file,) = arrays(root / "D" / CACHE_FOLDER)
    content = file.read_bytes()
    for at in (200, len(content) - 6, len(content) - 1):  # two pixels, and the checksum itself
        file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        np.testing.assert_array_equal(load_images(split_of(root), 8), before)
        assert file.read_bytes() == content
    file.write_bytes(content[:-4])
    np.testing.assert_array_equal(load_images(split_of(root), 8), before)
    assert file.read_bytes() == content[:-4]


def test_a_given_folder_is_used_and_keeps_data_sets_apart(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "other")
    for image in (tmp_path / "other").rglob("*.png"):
        Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(image)
    cache = tmp_path / "new" / "cache"
    one = load_images(split_of(root), 8, cache)
    other = load_images(split_of(tmp_path / "other"), 8, cache)
    assert one.any()
    assert not other.any()
    assert len(arrays(cache)) == 2
    assert not (root / "D" / CACHE_FOLDER).exists()


def test_read_only_data_are_cached_for_the_user(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "D" / CACHE_FOLDER).write_text("in the way, so that no folder can be made here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    split = split_of(root)
    np.testing.assert_array_equal(load_images(split, 8), expected(split, 8))
    assert len(arrays(tmp_path / "user" / "owkd")) == 1


def test_without_any_place_to_write_the_remedy_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "D" / CACHE_FOLDER).write_text("")
    (tmp_path / "user").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    with pytest.raises(DataError, match=r"set data\.cache"):
        load_images(split_of(root), 8)


def test_a_full_disk_is_an_error_and_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images_module, "_decode_into", full)
    with pytest.raises(DataError, match=r"No space left.*data\.cache"):
        load_images(split_of(root), 8)
    assert arrays(root / "D" / CACHE_FOLDER) == []


def test_damaged_images_are_all_named_and_leave_nothing(root: Path) -> None:
    folder = root / "D/Fold1/train/allcam"
    whole = (folder / "0001/a.png").read_bytes()
    (folder / "0001/a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "0002/empty.png").write_bytes(b"")
    (folder / "0002/text.jpg").write_text("not an image")
    with pytest.raises(DataError, match="3 cannot be decoded") as caught:
        load_images(split_of(root), 8)
    for line in ("0001/a.png: ", "0002/empty.png: an empty file\n", "0002/text.jpg: not an image"):
        assert line in str(caught.value)
    assert "größe" not in str(caught.value)
    assert arrays(root / "D" / CACHE_FOLDER) == []


def test_very_many_damaged_images_are_not_all_named(root: Path) -> None:
    for i in range(images_module.MOST_DAMAGED + 15):
        (root / f"D/Fold1/train/allcam/0001/bad{i}.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        load_images(split_of(root), 8)
    assert f"{images_module.MOST_DAMAGED} or more" in str(caught.value)
    assert str(caught.value).count("bad") == images_module.MOST_DAMAGED


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(root: Path) -> None:
    place = root / "D" / CACHE_FOLDER
    place.mkdir()
    dead, living = place / "Fold1-train-8-aaa.tmp", place / "Fold1-train-8-bbb.tmp"
    for path in (dead, living):
        path.write_bytes(b"half")
    long_ago = time.time() - images_module.ABANDONED_AFTER - 60
    os.utime(dead, (long_ago, long_ago))
    load_images(split_of(root), 8)
    assert not dead.exists()
    assert living.exists()


def _load(root: Path) -> bytes:
    return load_images(split_of(root), 8).tobytes()


def test_processes_at_once_get_the_same_images(root: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        results = pool.map(_load, [root] * 4)
    assert set(results) == {expected(split_of(root), 8).tobytes()}
    assert len(arrays(root / "D" / CACHE_FOLDER)) == 1


def test_threads_at_once_get_the_same_images(root: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(_load, [root] * 8))
    assert set(results) == {expected(split_of(root), 8).tobytes()}
    assert len(arrays(root / "D" / CACHE_FOLDER)) == 1


GREY = np.arange(6 * 10, dtype=np.uint8).reshape(6, 10) * 4


def saved(folder: Path, image: Image.Image, name: str = "x.png") -> np.ndarray:
    image.save(folder / name)
    return decode(folder / name, 10)


def resized(values: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(values).convert("RGB").resize((10, 10), Image.Resampling.BILINEAR))


def test_grey_palette_and_alpha_become_the_same_colours(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY)
    palette = grey.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    see_through = Image.merge("RGBA", (*grey.convert("RGB").split(), Image.new("L", grey.size, 3)))
    grey_alpha = Image.merge("LA", (grey, Image.new("L", grey.size, 200)))
    for image in (grey, palette, see_through, grey_alpha, grey.convert("RGB")):
        np.testing.assert_array_equal(saved(tmp_path, image), resized(GREY), err_msg=image.mode)


def test_a_palette_with_transparency_is_read_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "t.png", transparency=bytes([0, 128, 255]))
    assert decode(tmp_path / "t.png", 10).shape == (10, 10, 3)
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_cmyk_is_converted(tmp_path: Path) -> None:
    image = Image.new("CMYK", (7, 5), (0, 0, 0, 255))
    assert decode_name(tmp_path, image, "k.tif").max() == 0
    assert decode_name(tmp_path, Image.new("CMYK", (7, 5), (0, 0, 0, 0)), "w.tif").min() == 255


def decode_name(folder: Path, image: Image.Image, name: str) -> np.ndarray:
    image.save(folder / name)
    return decode(folder / name, 4)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("value", [0, 255, 256, 513, 14000, 65535])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str, value: int) -> None:
    Image.fromarray(np.full((5, 9), value, dtype=np.uint16)).save(tmp_path / f"x{suffix}")
    assert np.unique(decode(tmp_path / f"x{suffix}", 4)).tolist() == [value // 256]


def test_big_endian_sixteen_bits_are_read(tmp_path: Path) -> None:
    header = b"MM\x00*\x00\x00\x00\x08\x00\x08"
    entries = [
        (256, 3, 1),
        (257, 3, 1),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 110),
        (278, 3, 1),
        (279, 4, 2),
    ]
    body = b"".join(
        tag.to_bytes(2)
        + kind.to_bytes(2)
        + (1).to_bytes(4)
        + (value.to_bytes(2) + b"\0\0" if kind == 3 else value.to_bytes(4))
        for tag, kind, value in entries
    )
    (tmp_path / "b.tif").write_bytes(header + body + b"\0\0\0\0" + (0x4142).to_bytes(2))
    assert np.unique(decode(tmp_path / "b.tif", 2)).tolist() == [0x41]


def test_floating_point_and_32_bits_are_refused_without_a_window(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((4, 4), 70000, dtype=np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(ValueError, match=r"floating point.*set data\.window"):
        decode(tmp_path / "f.tif", 4)
    with pytest.raises(ValueError, match="16 bits"):
        decode(tmp_path / "i.tif", 4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (301, 7), (4, 4)])
def test_odd_sizes_are_resized_with_smoothing(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "x.png")
    small = decode(tmp_path / "x.png", 4)
    assert small.shape == (4, 4, 3)
    assert abs(small.mean() - values.mean()) < 12


def test_a_folder_of_its_own_keeps_its_cache_inside(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.png")
    load_images(Split(tmp_path, ("x.png",), np.array([1])), 8)
    assert [path.parent for path in arrays(tmp_path) if path.suffix == ".npy"] == [tmp_path / CACHE_FOLDER]
