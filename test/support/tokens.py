# SPDX-License-Identifier: Apache-2.0
"""Keys and tokens of other issuers, made with Python's own hmac and the program openssl."""

import base64
import hashlib
import hmac
import json
import subprocess
import time


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def encode(data):
    """base64url without padding, of bytes or of something for JSON."""
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(user, seconds=3600, **more):
    return {"sub": str(user), "exp": int(time.time()) + seconds, **more}


def raw_from_der(der):
    """An ECDSA signature as JWS has it: both numbers, 32 bytes each."""
    numbers, rest = [], der[2:]
    while rest:
        length = rest[1]
        numbers.append(int.from_bytes(rest[2 : 2 + length], "big"))
        rest = rest[2 + length :]
    return b"".join(number.to_bytes(32, "big") for number in numbers)


class Key:
    """A private key in a file; `kind` is RSA, WEAK or EC."""

    def __init__(self, directory, name, kind):
        self.kind, self.path = kind, directory / f"{name}.key"
        how = {
            "RSA": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "WEAK": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            "EC": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        }[kind]
        openssl("genpkey", *how, "-out", self.path)
        self.private = self.path.read_bytes()
        self.public = openssl("pkey", "-in", self.path, "-pubout")

    def jwk(self, kid=None, **more):
        """The public key as a member of a key set."""
        der = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        if self.kind == "EC":
            jwk = {"kty": "EC", "crv": "P-256", "x": encode(der[-64:-32]), "y": encode(der[-32:])}
        else:
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
            jwk = {"kty": "RSA", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}
        return {**jwk, **({"kid": kid} if kid else {}), **more}

    def signature(self, algorithm, data):
        if algorithm == "PS256":
            options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        else:
            options = []
        made = openssl("dgst", "-sha256", "-sign", self.path, *options, data=data)
        return raw_from_der(made) if self.kind == "EC" else made


def hmac_sha256(secret, data):
    return hmac.new(secret, data, hashlib.sha256).digest()


def token(key, algorithm, body, kid=None, **header):
    """Signed by `key`, a Key or the bytes of a secret; None: not signed at all."""
    head = {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid else {}), **header}
    text = f"{encode(head)}.{encode(body)}"
    if key is None:
        return text + "."
    made = hmac_sha256(key, text.encode()) if isinstance(key, bytes) else key.signature(algorithm, text.encode())
    return f"{text}.{encode(made)}"


def bearer(text):
    return ("Authorization", f"Bearer {text}")
