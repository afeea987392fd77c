"""An S3 server on this machine, as an object store for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSelector, FileSystem, FileType

BUCKET = "s3://bucket"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an empty bucket; every process that is started now finds the server by its environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        FileSystem.from_uri(f"{BUCKET}?allow_bucket_creation=true")[0].create_dir("bucket")
        yield BUCKET
    server.stop()


def objects(address: str) -> dict[str, int]:
    """Every object below an address, by its path from there, with its size."""
    filesystem, root = FileSystem.from_uri(address)
    found = filesystem.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
    return {info.path.removeprefix(f"{root}/"): info.size for info in found if info.type == FileType.File}
