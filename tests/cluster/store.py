"""An S3 server on a host of its own, and how the others reach it: over the network, and in no other way."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem

from owkd.errors import UserError
from search.results.tables import read_epochs, read_trials
from search.runs.manifest import open_run
from tests.cluster.hosts import ENVIRONMENT, Host

PORT = 5000
BUCKET = "owkd"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
CREDENTIALS = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
STORED = re.compile(r'^([\d.]+) - - \[.*\] "(?:.\[\d+m)*(GET|PUT|POST) /owkd/runs/([^ ?]+)', re.MULTILINE)
"""a line of the server's log: who, what, which object"""


class Store:
    """The server, and what this process sees of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._query = f"endpoint_override={host.address}:{PORT}&scheme=http&region=us-east-1"
        self.runs = f"s3://{BUCKET}/runs?{self._query}"

    def run(self, name: str) -> str:
        """The address of a run."""
        return self.runs.replace("/runs?", f"/runs/{name}?")

    def start(self) -> None:
        """Switches the host on, and makes an empty bucket."""
        self.host.start()
        self.host.serve(f"{ENVIRONMENT}/bin/python -m moto.server -H {self.host.address} -p {PORT}", "s3.log")
        deadline = time.monotonic() + 60
        while True:
            try:
                made, _ = FileSystem.from_uri(f"s3://{BUCKET}?{self._query}&allow_bucket_creation=true")
                made.create_dir(BUCKET)
                return
            except OSError:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.5)

    def log(self) -> str:
        return (self.host.home / "s3.log").read_text(errors="replace")

    def traffic(self) -> set[tuple[str, str, str]]:
        """(address, method, object below the folder of runs) of every request."""
        return set(STORED.findall(self.log()))


class Results:
    """The tables of one run, as a reader far from the driver gets them."""

    def __init__(self, run: str) -> None:
        self._run = run

    def trials(self) -> list[dict]:
        return read_trials(self._fetched()).to_pylist()

    def epochs(self) -> list[dict]:
        """None also before the run has begun."""
        try:
            return read_epochs(self._fetched()).to_pylist()
        except UserError:
            return []

    def hosts(self) -> Counter[str]:
        """How many epochs each host trained."""
        return Counter(row["host"] for row in self.epochs())

    def newest_trial(self, host: str) -> int:
        return max(row["trial"] for row in self.epochs() if row["host"] == host)

    def first_time(self, host: str) -> float:
        """When a host's first epoch ended, seconds since the Unix epoch."""
        return min(row["ended_at"].timestamp() for row in self.epochs() if row["host"] == host)

    def epochs_of(self, trial: int) -> list[dict]:
        """In their order."""
        return sorted((row for row in self.epochs() if row["trial"] == trial), key=lambda row: row["step"])

    def _fetched(self) -> Path:
        return open_run(self._run, only=("results",))[0].results


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This process may read the store, into copies of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("reader"))}.items():
            patch.setenv(name, value)
        yield
