"""What `ObjectStore` promises of files below an address, held to by a folder and by an S3 server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem

from search.storage.address import Address
from search.storage.object_store import ObjectStore
from tests.support.s3_server import s3 as s3


class ObjectStoreContract:
    """Subclasses give `address`, where nothing is yet."""

    filesystem: type[FileSystem]

    @pytest.fixture
    def store(self, address: Address) -> ObjectStore:
        return ObjectStore.at(address)

    def put(self, store: ObjectStore, path: str, content: bytes) -> None:
        store.upload(io.BytesIO(content), path, len(content))

    def test_it_is_the_one_that_is_named(self, store: ObjectStore) -> None:
        assert type(store.filesystem) is self.filesystem

    def test_nothing_is_there_at_first(self, store: ObjectStore) -> None:
        assert (store.files(), store.folders(""), store.read("a/b"), store.has("a/b")) == ({}, [], None, False)

    def test_files_and_folders_are_listed_by_their_paths(self, store: ObjectStore) -> None:
        for path in ("a/b", "a/c/d", "e"):
            self.put(store, path, b"x" * 900)
        assert {path: stat.size for path, stat in store.files().items()} == {"a/b": 900, "a/c/d": 900, "e": 900}
        assert set(store.files("a")) == {"a/b", "a/c/d"}
        assert (store.folders(""), store.folders("a")) == (["a"], ["a/c"])
        assert store.has("a/b")
        assert not store.has("a")

    def test_an_upload_ends_after_its_size(self, store: ObjectStore) -> None:
        self.put(store, "a/b", b"")
        store.upload(io.BytesIO(b"x" * 1000), "a/b", 900)
        assert store.read("a/b") == b"x" * 900

    def test_what_is_written_again_is_replaced(self, store: ObjectStore) -> None:
        self.put(store, "a/b", b"first and longer")
        self.put(store, "a/b", b"second")
        assert store.read("a/b") == b"second"
        store.write("a/b", b"third")
        assert store.read("a/b") == b"third"

    def test_a_download_is_whole_or_absent(self, store: ObjectStore, tmp_path: Path) -> None:
        self.put(store, "a/b", b"x" * 900)
        store.download("a/b", tmp_path / "to" / "b")
        assert (tmp_path / "to" / "b").read_bytes() == b"x" * 900
        with pytest.raises(FileNotFoundError):
            store.download("a/x", tmp_path / "to" / "x")
        assert [path.name for path in (tmp_path / "to").iterdir()] == ["b"]

    def test_files_and_folders_are_removed_and_what_is_not_there_is_no_error(self, store: ObjectStore) -> None:
        for path in ("a/b", "a/c/d", "e"):
            self.put(store, path, b"x")
        for path in ("e", "a/c", "nowhere"):
            store.remove(path)
        assert set(store.files()) == {"a/b"}


class TestFolder(ObjectStoreContract):
    filesystem = LocalFileSystem

    @pytest.fixture
    def address(self, tmp_path: Path) -> Address:
        return Address.of(tmp_path / "store")

    def put(self, store: ObjectStore, path: str, content: bytes) -> None:
        Path(store.root, path).parent.mkdir(parents=True, exist_ok=True)  # whoever writes in a folder makes it
        super().put(store, path, content)


class TestS3(ObjectStoreContract):
    filesystem = S3FileSystem

    @pytest.fixture
    def address(self, s3: str, tmp_path: Path) -> Address:
        return Address.of(s3) / tmp_path.name
