"""This project's own files are in `PROJECT_DIR`."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[1]
