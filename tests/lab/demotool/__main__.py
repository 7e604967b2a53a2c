# SPDX-License-Identifier: Apache-2.0
"""python3 tests/lab/demotool: what scripts/demo runs."""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demotool.main import main  # noqa: E402  (the path above has to be set first)

sys.exit(main(sys.argv[1:]))
