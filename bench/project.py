"""Where this project's own files are."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[1]
