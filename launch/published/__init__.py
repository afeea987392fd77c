"""The published command line and the published code's files.

run.py           `owkd run`: training, validation and test of every fold, with the published values
fold_files.py    what a fold leaves behind as files, and the table over folds
checkpoints.py   checkpoints of the published code, imported and exported
"""

from launch.published.checkpoints import export_as_onnx, export_published_files, import_teacher_files
from launch.published.run import Request, run_published

__all__ = ["Request", "export_as_onnx", "export_published_files", "import_teacher_files", "run_published"]
