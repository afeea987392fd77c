"""The commands of `owkd`: their arguments and help. What they do is imported when they run.

arguments.py       arguments that several commands take
configuration.py   init, config
data.py            data synth, prepare, check
teacher.py         teacher train, import
models.py          distill, evaluate, embed, export
runs.py            plan, search, resume, retrain, trials, report, monitor
stored.py          runs list, show, compare, delete; cache list, clear
cluster.py         cluster init, check, up, submit, status, down; doctor
published.py       run
"""

from launch.commands import cluster, configuration, data, models, published, runs, stored, teacher

__all__ = ["cluster", "configuration", "data", "models", "published", "runs", "stored", "teacher"]
