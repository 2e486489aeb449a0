"""The last good configuration on disk, sealed: a file is either whole and ours, or it counts as absent."""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"PINION-CLIENT-1\n"
SALT_BYTES = 16
TAG_BYTES = 16
CHUNK = 1 << 20
LENGTH = struct.Struct(">I")


class Damaged(Exception):
    """The file is cut short, altered, or sealed for another token."""


class Store:
    """One file, for one process. The token that opens the feed also opens the file, so a new token starts afresh.

    After the magic and a random salt come chunks, each with its length in front and sealed with AES-GCM under a key
    that HKDF makes from token and salt. A chunk's nonce is its number and whether it is the last: so none can be left
    out, repeated, moved or cut off unseen, and no nonce is ever used twice under a key.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self._token = token.encode()

    def read(self) -> list[bytes] | None:
        """The lines that were written last; None if there is no file. Raises Damaged and OSError."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            return b"".join(self._opened(file)).split(b"\n")

    def write(self, lines: Iterable[bytes]) -> None:
        """Replace the file by these lines, or leave it as it was. They hold no line break. Raises OSError.

        The new file is on the disk before it takes the old one's name, and the name before this returns.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.draft")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123  # a Path cannot be opened with a mode of its own
                self._seal(file, lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(self.path.parent)

    def _seal(self, file: BinaryIO, lines: Iterable[bytes]) -> None:
        salt = os.urandom(SALT_BYTES)
        cipher = self._cipher(salt)
        file.write(MAGIC + salt)
        for number, (chunk, last) in enumerate(_chunks(lines)):
            sealed = cipher.encrypt(_nonce(number, last), chunk, MAGIC)
            file.write(LENGTH.pack(len(sealed)) + sealed)

    def _opened(self, file: BinaryIO) -> Iterator[bytes]:
        if file.read(len(MAGIC)) != MAGIC:
            raise Damaged("It does not begin as such a file does.")
        cipher = self._cipher(_exactly(file, SALT_BYTES))
        number, last = 0, False
        while not last:
            (length,) = LENGTH.unpack(_exactly(file, LENGTH.size))
            sealed = _exactly(file, length)
            last = not file.peek(1)  # type: ignore[attr-defined]  # a buffered reader, which BinaryIO does not say
            try:
                yield cipher.decrypt(_nonce(number, last), sealed, MAGIC)
            except InvalidTag:
                raise Damaged("It is cut short, altered, or sealed for another token.") from None
            number += 1

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=MAGIC).derive(self._token))


def _chunks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The lines joined and cut into pieces of about a mebibyte, each with whether it is the last; at least one."""
    waiting = bytearray()
    separator = b""
    for line in lines:
        waiting += separator + line
        separator = b"\n"
        while len(waiting) > CHUNK:
            yield bytes(waiting[:CHUNK]), False
            del waiting[:CHUNK]
    yield bytes(waiting), True


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _exactly(file: BinaryIO, count: int) -> bytes:
    if count > CHUNK + TAG_BYTES:
        raise Damaged("It names a length that is never written.")
    found = file.read(count)
    if len(found) != count:
        raise Damaged("It is cut short.")
    return found


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
