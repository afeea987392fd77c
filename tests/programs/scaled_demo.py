"""`owkd` with a smaller demo, whose configuration lies in a folder: `scaled_demo.py FOLDER demo ...`."""

import sys
from pathlib import Path

from launch import demo
from launch.cli import main

demo.IDENTITIES, demo.IMAGES = 16, 4
place = Path(sys.argv.pop(1))
setattr(demo, "files", lambda package: place)  # noqa: B010
main()
