"""A run as an object, for reading: trials, epochs, the final stage, the champion, the Optuna study."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pyarrow as pa

from owkd.config import Config
from owkd.errors import UserError
from owkd.models import CHAMPION
from search.results.equal_epochs import best_complete
from search.results.listing import list_trials
from search.results.parquet import read_table
from search.results.tables import read_epochs
from search.retrain.queries import read_queries
from search.retrain.tables import COMPARISON_FIELDS, MODEL_FIELDS
from search.runs.layout import RunFolder
from search.runs.manifest import open_run
from search.storage.address import Address
from search.study.journal import open_journal

if TYPE_CHECKING:
    from owkd.inference import Model


class Run:
    """A run in a folder or an object store, also while it is driven. Nothing of it is ever changed.

    Tables are Arrow tables: `.to_pandas()`, `polars.from_arrow(...)`, or DuckDB by their name.

    ```python
    run = Run("runs/quick")
    best = run.best()
    print(best["trial"], best["objective"], best["param.distill.logit"])
    run.epochs().to_pandas().groupby("trial")["val/mAP"].max()
    ```

    Raises `UserError` where there is no run, `ConfigError` where its configuration is none of this version, and
    `DamagedRunError` where a file of it is damaged; the methods raise the latter, too.
    """

    def __init__(self, run: Address | Path | str) -> None:
        self.address = Address.of(run)
        self._open()

    def __repr__(self) -> str:
        return f"Run({str(self.address)!r})"

    @cached_property
    def config(self) -> Config:
        """The resolved configuration."""
        return open_run(self.address, only=("run.yaml",))[1]

    def trials(self) -> pa.Table:
        """One row a trial, best first, as `owkd trials` lists them."""
        return list_trials(self.address)

    def best(self) -> dict[str, Any] | None:
        """The row of the best complete trial that keeps every constraint; None where there is none.

        With several objectives, the best one by the first of them.
        """
        return best_complete(self.trials().to_pylist())

    def epochs(self) -> pa.Table:
        """One row an epoch of each fold and seed, in order of trial and step: losses, validation, duration."""
        return read_epochs(self._open("results").results)

    def models(self) -> pa.Table:
        """One row a model of the final stage, and one a teacher and fold; none before that stage."""
        return self._final("models", MODEL_FIELDS)

    def comparison(self) -> pa.Table:
        """One row a claim: how far the champion is ahead, its interval, and whether that is shown; none before."""
        return self._final("comparison", COMPARISON_FIELDS)

    def queries(self) -> pa.Table:
        """One row a query of each model that was tested: average precision, rank of the first match; none before."""
        return read_queries(self._open("results").results)

    def study(self) -> optuna.Study:
        """The Optuna study, as a copy in memory: for Optuna's plots and importances. Telling it changes no run."""
        folder = self._open("study.journal")
        storage = open_journal(folder.journal)
        name = optuna.get_all_study_names(storage)[0]
        copy = optuna.storages.InMemoryStorage()
        said = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=copy)
        finally:
            optuna.logging.set_verbosity(said)
        return optuna.load_study(study_name=name, storage=copy)

    def champion(self) -> Model:
        """The champion, ready to embed images. Raises `UserError` before the final stage has chosen one."""
        from owkd.inference import Model  # torch takes seconds to import

        folder = self._open("retrain")
        if not (folder.champion / CHAMPION).is_file():
            raise UserError(f"{self.address} has no champion yet; run its final stage: owkd retrain {self.address}")
        return Model.load(folder.champion)

    def _final(self, name: str, fields: dict[str, pa.DataType]) -> pa.Table:
        file = self._open("results").results / "retrain" / f"{name}.parquet"
        return read_table(file) if file.is_file() else pa.schema(fields.items()).empty_table()

    def _open(self, *only: str) -> RunFolder:
        return open_run(self.address, only=only or ("run.yaml",))[0]
