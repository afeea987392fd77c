"""A store that takes connections and never answers is given up in time, with one message."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from launch.cli import run_command
from search.storage import object_store
from search.storage.address import Address
from search.storage.object_store import LIMITS, ObjectStore
from tests.support.s3_server import ENVIRONMENT


@pytest.fixture
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The kernel takes connections for a socket that nobody accepts from."""
    object_store._connected.cache_clear()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}.items():
            monkeypatch.setenv(name, value)
        yield "s3://bucket/runs"
    object_store._connected.cache_clear()


def test_a_command_on_a_run_in_it_ends(
    silent_store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(LIMITS, "S3FileSystem", {"connect_timeout": 1.0, "request_timeout": 1.0})
    begun = time.monotonic()
    assert run_command(["trials", f"{silent_store}/x"]) == 2
    assert time.monotonic() - begun < 30
    said = " ".join(capsys.readouterr().err.split())
    assert f"must be within reach, but {silent_store}/x is not" in said
    assert "see to bucket, endpoint and credentials" in said


@pytest.mark.parametrize(
    ("address", "limits"),
    [
        ("s3://bucket/runs?region=eu-west-1&allow_bucket_creation=true", LIMITS["S3FileSystem"]),
        ("gs://anonymous@bucket/runs", LIMITS["GcsFileSystem"]),
    ],
)
@pytest.mark.usefixtures("silent_store")
def test_a_store_has_limits_and_is_otherwise_as_its_address_has_it(address: str, limits: dict[str, object]) -> None:
    from pyarrow.fs import FileSystem

    _, (plain,) = FileSystem.from_uri(address)[0].__reduce__()
    _, (options,) = ObjectStore.at(Address.of(address)).filesystem.__reduce__()
    assert options == {**plain, **limits}
    assert options != plain
