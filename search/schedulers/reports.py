"""What Ray's rules read of a message (`search.trials.job.Message`)."""

from typing import Any

REPORT_FIELDS: dict[str, Any] = {"time_attr": "step", "metric": "objective", "mode": "max"}
