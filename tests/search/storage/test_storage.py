"""Addresses, places, leases and mirrors against an S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from owkd.errors import OwkdError, UserError
from search.runs.layout import RunFolder
from search.storage import lease
from search.storage.address import Address
from search.storage.mirror import Mirror
from search.storage.object_store import ObjectStore, Stat
from search.storage.timings import StoreTimings
from search.storage.worker_scratch import local_copy, workplace
from tests.support.s3_server import objects
from tests.support.s3_server import s3 as s3

QUICK = StoreTimings(settle_s=0.0, beat_s=0.1, push_s=0.1)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def address(s3: str, request: pytest.FixtureRequest) -> Address:
    """A place of a test's own."""
    return Address.of(s3) / request.node.name.partition("[")[0]


def stored_lease(place: ObjectStore) -> lease.Lease:
    stored = lease.read_lease(place)
    assert stored is not None, "nobody ever drove"
    return stored


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "remote", "name", "below"),
    [
        ("runs/a", False, "a", "runs/a/x"),
        ("/abs/a/", False, "a", "/abs/a/x"),
        ("file:///abs/a%20b", False, "a b", "/abs/a b/x"),
        ("C:/a", False, "a", "C:/a/x"),
        ("s3://bucket/runs/a/", True, "a", "s3://bucket/runs/a/x"),
        ("s3://bucket/a?endpoint_override=localhost:9", True, "a", "s3://bucket/a/x?endpoint_override=localhost:9"),
        ("gs://bucket/a", True, "a", "gs://bucket/a/x"),
    ],
)
def test_an_address_is_a_path_or_a_uri(text: str, remote: bool, name: str, below: str) -> None:
    address = Address.of(text)
    assert (address.remote, address.name, str(address / "x")) == (remote, name, below)
    assert (address / "x" / "y").above == address / "x"
    assert Address.of(address) is address


@pytest.mark.parametrize("text", ["s3://key:secret@bucket/runs", "s3:///runs", "nonsense://bucket/runs"])
def test_an_address_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        ObjectStore.at(Address.of(text))
    assert "secret@" not in str(refused.value)


def test_working_copies_of_two_addresses_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Address.of("s3://bucket/runs/a").copy("driver")
    assert first.name == "a"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere")
    copies = {first, *(Address.of(text).copy("driver") for text in ("s3://bucket/runs/a", "s3://other/runs/a"))}
    assert len({*copies, Address.of("s3://bucket/runs/a").copy("reader")}) == 4


@pytest.mark.parametrize("shorter", [b"2" * 900, b"2" * 1100])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(s3: str, tmp_path: Path, shorter: bytes) -> None:
    place = ObjectStore.at(Address.of(f"{s3}/replaced"))
    place.write("file", b"1" * 1000)

    class Meanwhile:
        """The store's file system, on which somebody replaces the file once it was opened."""

        def __getattr__(self, name: str):
            return getattr(place.filesystem, name)

        def open_input_stream(self, path: str):
            stream = place.filesystem.open_input_stream(path)
            place.write("file", shorter)
            return stream

    seen = ObjectStore(Meanwhile(), place.root)
    assert seen.read("file") == shorter
    place.write("file", b"1" * 1000)
    seen.download("file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == shorter


def test_a_mirror_sends_what_changed_and_removes_what_is_gone(address: Address, tmp_path: Path) -> None:
    put(tmp_path, run_DOT_yaml="r", results__a="1", results__b="2", study_DOT_journal="j", _DOT_lock="")
    put(tmp_path, results___DOT_x_DOT_9_DOT_tmp="half", _DOT_ray__x="ray")
    both = Mirror(address, tmp_path, QUICK)
    both.push()
    assert objects(str(address)) == {"run.yaml": 1, "results/a": 1, "results/b": 1, "study.journal": 1}
    sent: list[str] = []
    both.place.write("checkpoints/trial-00000/last.pt", b"of a worker")
    original = ObjectStore.upload

    def upload(self: ObjectStore, file: BinaryIO, path: str, size: int) -> None:
        sent.append(path)
        original(self, file, path, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStore, "upload", upload)
        put(tmp_path, study_DOT_journal="jj", tensorboard__t="event", results__a="11")
        (tmp_path / "results" / "b").unlink()
        both.remove_later(tmp_path / "checkpoints" / "trial-00000")
        both.push()
        assert sent == ["results/a", "tensorboard/t", "study.journal"]
        both.push()
        assert len(sent) == 3
    assert objects(str(address)) == {"run.yaml": 1, "results/a": 2, "study.journal": 2, "tensorboard/t": 5}


def test_a_control_within_a_run_is_kept_like_the_run(address: Address, tmp_path: Path, monkeypatch) -> None:
    own = {"run.yaml": 1, "results/a": 1, "study.journal": 1, "tensorboard/t": 1}
    for folder in (tmp_path / "here", tmp_path / "here" / "control"):
        put(folder, run_DOT_yaml="r", results__a="1", study_DOT_journal="j", tensorboard__t="e")
        put(folder, _DOT_lock="", study_DOT_journal_DOT_lock="", _DOT_ray__x="ray", checkpoints__last_DOT_pt="w")
    sent: list[str] = []
    original = ObjectStore.upload

    def upload(self: ObjectStore, file: BinaryIO, path: str, size: int) -> None:
        sent.append(path)
        original(self, file, path, size)

    monkeypatch.setattr(ObjectStore, "upload", upload)
    mirror = Mirror(address, tmp_path / "here", QUICK)
    mirror.push()
    assert objects(str(address)) == {**own, **{f"control/{path}": size for path, size in own.items()}}
    assert {path.removeprefix("control/") for path in sent[-2:]} == {"study.journal"}  # after all that they rely on
    run = RunFolder(tmp_path / "here", mirror)
    assert str(run.control.address) == f"{address}/control"
    assert run.control.where(run.control.checkpoints / "trial-00001") == f"{address}/control/checkpoints/trial-00001"
    mirror.place.write("control/checkpoints/trial-00001/last.pt", b"of a worker")
    assert run.control.stored(run.control.checkpoints) == [run.control.checkpoints / "trial-00001" / "last.pt"]
    run.control.discard(run.control.checkpoints / "trial-00001")
    mirror.push()
    assert not run.control.stored(run.control.checkpoints)
    alone = Mirror(address / "control", tmp_path / "there", QUICK)  # a reader who has the control's address alone
    alone.pull()
    assert alone._scan().keys() == own.keys()


def test_the_journal_is_sent_as_it_was_when_the_push_began(address: Address, tmp_path: Path) -> None:
    put(tmp_path, study_DOT_journal="one\n", results__a="1")
    both = Mirror(address, tmp_path, QUICK)
    original = ObjectStore.upload

    def meanwhile(self: ObjectStore, file, path: str, size: int) -> None:
        if path == "results/a":
            with (tmp_path / "study.journal").open("a") as journal:
                journal.write("two\n")
        original(self, file, path, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStore, "upload", meanwhile)
        both.push()
    assert both.place.read("study.journal") == b"one\n"
    both.push()
    assert both.place.read("study.journal") == b"one\ntwo\n"


def test_a_file_that_is_replaced_while_it_is_sent_does_not_leave_the_journal_ahead(
    address: Address, tmp_path: Path
) -> None:
    put(tmp_path, study_DOT_journal="knows part", results__old="rows", results__another="rows")
    both = Mirror(address, tmp_path, QUICK)
    original = ObjectStore.upload

    def compacting(self: ObjectStore, file, path: str, size: int) -> None:
        if path == "results/another" and (tmp_path / "results" / "old").exists():
            put(tmp_path, results__part="all rows")
            (tmp_path / "results" / "old").unlink()
        assert path != "study.journal" or "results/part" in self.files()
        original(self, file, path, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStore, "upload", compacting)
        both.push()
    assert set(objects(str(address))) == {"study.journal", "results/another", "results/part"}


def test_readers_follow(address: Address, tmp_path: Path) -> None:
    put(tmp_path / "a", run_DOT_yaml="r", results__a="1", tensorboard__t="event")
    writer, reader = Mirror(address, tmp_path / "a", QUICK), Mirror(address, tmp_path / "b", QUICK)
    writer.push()
    reader.pull("results")
    assert reader._scan().keys() == {"results/a"}
    put(tmp_path / "a", results__a="2")  # in the same second, of the same size
    writer.push()
    reader.pull()
    assert (tmp_path / "b" / "results" / "a").read_text() == "2"
    assert reader._scan().keys() == writer._scan().keys()
    (tmp_path / "a" / "results" / "a").unlink()
    writer.push()
    reader.pull()
    assert reader._scan().keys() == {"run.yaml", "tensorboard/t"}


def test_what_did_not_change_is_not_fetched_again(address: Address, tmp_path: Path, monkeypatch) -> None:
    put(tmp_path / "a", old="1", new="2")
    writer, reader = Mirror(address, tmp_path / "a", QUICK), Mirror(address, tmp_path / "b", QUICK)
    writer.push()
    reader.pull()
    fetched = []
    now = writer.place.files()
    stats = {"old": now["old"], "new": Stat(1, now["old"].mtime_ns + 60 * 10**9)}
    monkeypatch.setattr(ObjectStore, "files", lambda self, below="": stats)
    monkeypatch.setattr(ObjectStore, "download", lambda self, path, to: fetched.append(path))
    reader.pull()
    assert fetched == ["new"]


def new_run(address: Address) -> Mirror:
    copy = address.copy("driver")
    put(copy, run_DOT_yaml="r")
    lease.remember(copy, lease.Lease(driver=lease.NEW))
    return Mirror(address, copy, QUICK)


def test_the_same_machine_goes_on_from_its_own_copy(address: Address) -> None:
    first = new_run(address)
    with first.driven():
        put(first.copy, results__a="told")
    put(first.copy, results__b="not sent before the kill", results__c="c")
    (first.copy / "results" / "a").unlink()
    again = Mirror(address, first.copy, QUICK)
    with again.driven():
        assert set(again._scan()) == {"run.yaml", "results/b", "results/c"}
    assert set(objects(str(address))) == {".driver.json", "run.yaml", "results/b", "results/c"}


def test_what_another_machine_drove_since_is_the_truth(address: Address, tmp_path: Path) -> None:
    first = new_run(address)
    with first.driven():
        put(first.copy, results__a="a")
    other = Mirror(address, tmp_path / "other machine", QUICK)
    with other.driven():
        assert (other.copy / "results" / "a").read_text() == "a"
        put(other.copy, results__b="b")
    put(first.copy, results__lost="the other machine went on without it")
    with Mirror(address, first.copy, QUICK).driven():
        assert {path.name for path in (first.copy / "results").iterdir()} == {"a", "b"}


def test_a_pull_that_was_cut_off_is_no_truth(address: Address, tmp_path: Path, monkeypatch) -> None:
    first = new_run(address)
    with first.driven():
        put(first.copy, results__a="a", results__b="b")
    other = Mirror(address, tmp_path / "other", QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "download", lambda self, path, to: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), other.driven():
            raise AssertionError("it never got here")
    with Mirror(address, tmp_path / "other", QUICK).driven():
        pass
    assert {"results/a", "results/b"} <= set(objects(str(address)))


def test_a_second_driver_is_refused_with_the_first_ones_name(address: Address, tmp_path: Path) -> None:
    with new_run(address).driven():
        with (
            pytest.raises(UserError, match=rf"one driver.*process {os.getpid()} on .* since 20"),
            Mirror(address, tmp_path / "other", QUICK).driven(),
        ):
            raise AssertionError("two drivers")
        assert stored_lease(ObjectStore.at(address)).is_alive(QUICK)
    assert not stored_lease(ObjectStore.at(address)).is_alive(QUICK)


def test_a_silent_driver_is_taken_over_after_its_time(address: Address, tmp_path: Path) -> None:
    timings = replace(QUICK, lease_s=1.5)
    place = ObjectStore.at(address)
    dead = lease.Hold(place, lease.Lease(host="a node that is gone"), None, "it", timings)
    dead.write()
    place.write("run.yaml", b"r")
    begun = time.monotonic()
    other = Mirror(address, tmp_path / "other", timings)
    with other.driven():
        assert time.monotonic() - begun > 1.0
        assert (other.copy / "run.yaml").read_text() == "r"
        dead._seen = 0.0
        with pytest.raises(OwkdError, match="is driven by"):
            dead.require()


def test_of_two_that_begin_at_once_one_stays(address: Address, tmp_path: Path, monkeypatch) -> None:
    place = ObjectStore.at(address)
    monkeypatch.setattr(time, "sleep", lambda seconds: lease.Hold(place, lease.Lease(host="faster"), None, "").write())
    with pytest.raises(OwkdError, match="on faster"), new_run(address).driven():
        raise AssertionError("two drivers")


def test_who_was_taken_over_ends_and_writes_no_more(address: Address) -> None:
    ours = new_run(address)
    with pytest.raises(OwkdError, match="on the other side"), ours.driven():  # noqa: PT012  # the driver's whole stay
        lease.Hold(ours.place, lease.Lease(host="the other side"), None, "").write()
        assert ours._hold is not None
        ours._hold._seen = 0.0  # as on a machine that wakes up after a long sleep
        put(ours.copy, results__late="of the one that slept")
        time.sleep(30)  # ended by the next beat, as by Ctrl-C
    assert "results/late" not in objects(str(address))
    assert stored_lease(ours.place).host == "the other side"


def test_a_store_that_is_away_at_the_end_costs_nothing(address: Address, monkeypatch) -> None:
    ours = new_run(address)
    put(ours.copy, results__a="kept")
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "upload", lambda *rest: (_ for _ in ()).throw(OSError("cable out")))
        with pytest.raises(OwkdError, match=r"nothing is lost.*cache"), ours.driven():
            pass
    assert "results/a" not in objects(str(address))
    with Mirror(address, ours.copy, QUICK).driven():
        pass
    assert "results/a" in objects(str(address))


def test_a_worker_trains_in_a_folder_that_follows_the_store(address: Address) -> None:
    part = Path("seed-0/Fold1")
    with workplace(str(address), part) as place:
        put(place.folder, last_DOT_pt="state 1", best_DOT_safetensors="model 1", crashed="")
        place.save()
        assert set(objects(str(address))) == {"seed-0/Fold1/last.pt", "seed-0/Fold1/best.safetensors"}
        folder = place.folder
    assert not folder.exists()
    with workplace(str(address), part) as place:
        assert (place.folder / "last.pt").read_text() == "state 1"
        sent = []
        place._send = lambda path: sent.append(path.name)  # type: ignore[method-assign]
        place.save()
        assert sent == []
        put(place.folder, last_DOT_pt="state 2")
        place.save()
        assert sent == ["last.pt"]
    with local_copy(str(address / "seed-0/Fold1/best.safetensors")) as file:
        assert (file.name, file.read_text()) == ("best.safetensors", "model 1")


def test_a_worker_trains_in_the_runs_own_folder_where_that_is_one(tmp_path: Path) -> None:
    with workplace(str(tmp_path), Path("seed-0/Fold1")) as place:
        assert place.folder == tmp_path / "seed-0" / "Fold1"
        place.save()
    with local_copy(str(tmp_path / "x")) as file:
        assert file == tmp_path / "x"


def test_what_a_killed_worker_left_is_swept(address: Address, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = """
import os
from search.storage.timings import StoreTimings
from search.storage.worker_scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""
    left = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stdout.strip()
    assert Path(left).is_dir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with workplace(str(address), Path("a")) as first, workplace(str(address), Path("b")) as second:
        assert not Path(left).exists()
        assert first.folder.is_dir()
        assert second.folder.is_dir()
