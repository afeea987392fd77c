"""The search: Optuna proposes, Ray trains, and one study on disk is the truth about every trial."""

import os

# Ray reads these when it is imported, which every module here does; whoever sets them otherwise is obeyed.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # workers use this very environment, also under `uv run`
