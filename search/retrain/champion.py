"""What one takes home, and what it tells of the test split: whether that was opened before, and for whom.

retrain/champion/student.safetensors    of the models that were tested, the best one on validation
retrain/champion/config.yaml            its configuration
retrain/champion/metrics.json           its figures, what may be claimed, and for whom the split was opened earlier
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from owkd.config import with_values
from owkd.errors import UserError
from owkd.files import written_whole
from owkd.models import CHAMPION
from search.results.parquet import read_table
from search.retrain.candidates import Candidate, Model
from search.retrain.comparison import Comparison
from search.retrain.models.records import ModelRecord
from search.runs.damage import read_json, reading, write_json
from search.runs.layout import RunFolder


class ChampionFolder:
    """The folder of one run."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._metrics = run.champion / "metrics.json"

    def opened_before(self, champion: Candidate) -> list[str]:
        """Those for whom the test split was opened before it was opened for this champion, earliest first."""
        if not self._metrics.is_file():
            return []
        earlier: dict[str, Any] = read_json(self._metrics)
        with reading(self._metrics):
            names = list(earlier.get("opened_before", ()))
            if "claims" not in earlier["comparison"]:
                names.append(f"{earlier['configuration']} of an earlier version")
            elif earlier["configuration"] != champion.name:
                names.append(earlier["configuration"])
        return list(dict.fromkeys(names))

    def write(
        self, champion: Candidate, best: tuple[Model, ModelRecord], checkpoint: Path, comparison: Comparison
    ) -> None:
        """Writes all three files. `best`: the model that is taken home, whose checkpoint lies in the run."""
        model, record = best
        opened_before = self.opened_before(champion)
        self._run.take(checkpoint, self._run.champion / CHAMPION)
        with written_whole(self._run.champion / "config.yaml") as temporary:
            config = with_values(champion.config, {"train.seed": model.seed, "data.folds": [model.fold]})
            temporary.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False), encoding="utf-8")
        write_json(
            self._metrics,
            {
                "configuration": champion.name,
                "fold": model.fold,
                "seed": model.seed,
                "epoch": record.epoch,
                "validation": record.validation,
                "test": record.test,
                "comparison": comparison.to_dict(),
                "opened_before": opened_before,
            },
        )


def refuse_earlier_version(run: RunFolder) -> None:
    """Raises `UserError` when version 0.1.0 trained the final stage of this run.

    Its models shared seeds with the search and chose the champion themselves, so that none of them can be used, and
    all that is trained anew meets a test split that was opened.
    """
    models = run.results / "retrain" / "models.parquet"
    if models.is_file() and "seed_set" not in read_table(models).column_names:
        raise UserError(
            f"a final stage must be of this version to go on, but that of {run.address} is of an earlier one, whose "
            f"test seeds were the search's; owkd report {run.address} shows what it said, and --reopen trains anew and "
            "opens the test split again, which the result then says"
        )
