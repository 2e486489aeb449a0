"""A disk that can be filled: a file system of its own where that may be mounted, else a folder that takes no files."""

import subprocess
from pathlib import Path
from typing import Self

SIZE = 64 * 1024
PAGE = b"x" * 4096


class Disk:
    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.folder = folder
        self.size = size
        self.mounted = False

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", str(self.folder)]
        self.mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        self.free()
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self) -> None:
        """To the last page."""
        if not self.mounted:
            self.folder.chmod(0o500)
            return
        try:
            with self._filler.open("ab", buffering=0) as file:
                while True:
                    file.write(PAGE)
        except OSError:
            return

    def free(self) -> None:
        if self.mounted:
            self._filler.unlink(missing_ok=True)
        else:
            self.folder.chmod(0o700)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"
