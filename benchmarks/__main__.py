"""All benchmarks but those of whole trainings, one after the other: `make bench`."""

import subprocess
import sys
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("*.py")):
    if not path.name.startswith("_") and path.stem not in (
        "timing",
        "programs",
        "pong_peers",
        "vae",
    ):
        print(f"\n── {path.stem}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{path.stem}"], check=True)
