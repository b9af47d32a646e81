"""Tests of the tools' own parts; they need no KVM."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools" / "lib"))
