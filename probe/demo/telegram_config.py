"""A fallback configuration of our own, sealed as Telegram seals its own, and as its carriers answer it."""

import base64
import hashlib
import json
import secrets
import struct
from typing import TYPE_CHECKING

from probe.mtproto import simple_config as layout
from probe.mtproto.crypto import RSA_SIZE
from probe.mtproto.tl import pack_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def config_data(date: int, expires: int, ports: tuple[int, ...] = (443,)) -> bytes:
    """One rule for every telephone, one made-up endpoint for each port, every other with a secret."""
    endpoints = b"".join(_endpoint(number, port) for number, port in enumerate(ports))
    rule = struct.pack("<I", layout.RULE) + pack_bytes(b"") + struct.pack("<iI", 4, len(ports)) + endpoints
    config = struct.pack("<IiiI", layout.CONFIG_SIMPLE, date, expires, 1) + rule
    return struct.pack("<I", 4 + len(config)) + config


def _endpoint(number: int, port: int) -> bytes:
    address = bytes([number, 113, 0, 203])  # of 203.0.113.0/24, which is for examples (RFC 5737)
    if number % 2:
        return struct.pack("<I4sI", layout.IP_PORT_SECRET, address, port) + pack_bytes(
            secrets.token_bytes(16)
        )
    return struct.pack("<I4sI", layout.IP_PORT, address, port)


def seal(data: bytes, key: "RSAPrivateKey") -> str:
    """Base64 of the sealed data, which may have 208 bytes."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    numbers = key.private_numbers()
    data += secrets.token_bytes(layout.DATA - len(data))
    plain = data + hashlib.sha256(data).digest()[: layout.DIGEST]
    while True:
        head = secrets.token_bytes(layout.HEAD)
        cipher = Cipher(algorithms.AES(head), modes.CBC(head[layout.HEAD // 2 :])).encryptor()
        number = int.from_bytes(head + cipher.update(plain), "big")
        if number < numbers.public_numbers.n:
            sealed = pow(number, numbers.d, numbers.public_numbers.n)
            return base64.b64encode(sealed.to_bytes(RSA_SIZE, "big")).decode()


def as_dns_json(text: str) -> bytes:
    """As a resolver answers: two strings, the shorter first."""
    answers = [
        {"name": "config.example.", "type": 16, "TTL": 60, "data": f'"{part}"'}
        for part in (text[250:], text[:250])
    ]
    return json.dumps({"Status": 0, "TC": False, "Answer": answers}).encode()


def as_firestore(text: str) -> bytes:
    """As Firestore answers."""
    return json.dumps({"name": "documents/ipconfig/v3", "fields": {"data": {"stringValue": text}}}).encode()
