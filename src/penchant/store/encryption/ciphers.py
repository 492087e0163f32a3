"""Keys and what is made with them: AES-256-GCM for texts, HMAC-SHA-256 for what has to be found by its value."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.errors import InputError, StoreError

MASTER_KEY = "PENCHANT_MASTER_KEY"
MASTER_KEY_FILE = "PENCHANT_MASTER_KEY_FILE"
_BYTES = 32
_NONCE = 12
_MAKE = "`openssl rand -base64 32` makes one"


def find_master_key(given: str | None = None) -> bytes:
    """Return the master key: the one given, $PENCHANT_MASTER_KEY, or what is in the file $PENCHANT_MASTER_KEY_FILE; 32
    bytes, written in base64 or as 64 hexadecimal digits. Raises `InputError` if there is none, or it is another thing.
    """
    where = "the master key"
    written = given or os.environ.get(MASTER_KEY)
    if written is None and (named := os.environ.get(MASTER_KEY_FILE)):
        where = f"the master key in {named}"
        try:
            written = Path(named).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{where} can't be read ({error}): expected 32 bytes in base64; {_MAKE}") from None
    if not written:
        raise InputError(
            f"there is no master key for the encrypted store: expected one in ${MASTER_KEY}, or in the file that "
            f"${MASTER_KEY_FILE} names; {_MAKE}"
        )
    text = written.strip()
    try:
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _BYTES:
        raise InputError(f"{where} isn't 32 bytes in base64 or hexadecimal digits: expected such a key; {_MAKE}")
    return key


class Wrapping:
    """Encrypts users' keys with the master key."""

    def __init__(self, master_key: bytes) -> None:
        self._aead = _aes_gcm(_derived(master_key, b"wrap"))

    def wrapped(self, name: str, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return bytes(nonce + self._aead.encrypt(nonce, key, name.encode()))

    def unwrapped(self, name: str, wrapped: bytes) -> bytes:
        """Raises `ValueError` under another master key."""
        return _decrypted(self._aead, wrapped, name)


class UserCipher:
    """Encrypts what is stored for one user."""

    def __init__(self, key: bytes) -> None:
        self._aead = _aes_gcm(_derived(key, b"seal"))
        self._mac = _derived(key, b"find")

    def sealed(self, place: str, fields: Mapping[str, Any]) -> bytes:
        """Return the fields encrypted and bound to a place: nowhere else can they be opened."""
        nonce = os.urandom(_NONCE)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        return bytes(nonce + self._aead.encrypt(nonce, text, place.encode("utf-8")))

    def opened(self, place: str, sealed: bytes) -> dict[str, Any]:
        """Raises `StoreError` for what wasn't sealed for this user and place."""
        try:
            fields: dict[str, Any] = json.loads(_decrypted(self._aead, sealed, place))
        except ValueError:
            raise StoreError(
                f"a row of {place.partition(' ')[0]} can't be decrypted: it was changed outside of Penchant, or moved "
                "from another row; restore it from a backup"
            ) from None
        return fields

    def token(self, value: str) -> str:
        """Return what stands for a value that has to be found again: equal for equal values of this user alone."""
        return hmac.new(self._mac, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def new_key() -> bytes:
    return secrets.token_bytes(_BYTES)


def _derived(key: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return bytes(HKDF(SHA256(), _BYTES, salt=None, info=b"penchant " + purpose).derive(key))


def _aes_gcm(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _decrypted(aead: Any, data: bytes, place: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(aead.decrypt(data[:_NONCE], data[_NONCE:], place.encode("utf-8")))
    except InvalidTag as error:
        raise ValueError("not encrypted with this key, or for another place") from error
