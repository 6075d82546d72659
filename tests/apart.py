"""Packages in a folder of their own, kept from one test run to the next: what must not stand beside ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["installed_apart"]


def installed_apart(request: pytest.FixtureRequest, requirement: str) -> Path:
    """The folder that the package of a requirement lies in; the test is skipped where it cannot be had."""
    folder = Path(request.config.cache.mkdir("apart")) / requirement
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, "--target", str(unfinished), requirement], capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            pytest.skip(f"{requirement} cannot be installed here: {done.stderr.strip()[-200:]}")
        try:
            unfinished.rename(folder)
        except OSError:  # another worker was first
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder
