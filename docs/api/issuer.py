"""An OpenID Connect issuer that vouches for whom the story says: as much as a sign-in takes."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

CLIENT = "ironledger-examples"

# The curve P-256 (FIPS 186-5), since the standard library signs nothing that issuers sign with.
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def added(one, other):
    """The sum of two points; `None` is the one at infinity."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % PRIME == 0:
        return None
    rise, run = (3 * x1 * x1 - 3, 2 * y1) if one == other else (y2 - y1, x2 - x1)
    slope = rise * pow(run, -1, PRIME) % PRIME
    x = (slope * slope - x1 - x2) % PRIME
    return x, (slope * (x1 - x) - y1) % PRIME


def times(number, point):
    total = None
    while number:
        if number & 1:
            total = added(total, point)
        point, number = added(point, point), number >> 1
    return total


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def encoded_json(value):
    return encoded(json.dumps(value).encode())


class Issuer:
    """Serves at a loopback address for as long as the program runs."""

    def __init__(self, url):
        self.url = url
        self.asked = {}  # what the token of a code is to say
        self.secret = secrets.randbelow(ORDER - 1) + 1
        self.key = [encoded(part.to_bytes(32, "big")) for part in times(self.secret, BASE)]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(issuer.published(self.path))

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.answer(issuer.token(form["code"][0]))

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        place = urlsplit(url)
        server = ThreadingHTTPServer((place.hostname, place.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def published(self, path):
        if path == "/keys":
            x, y = self.key
            return {
                "keys": [
                    {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y}
                ]
            }
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def sign_in(self, authorization_url, subject, email):
        """Somebody signs in where the server sent them: the code that they come back with."""
        code = secrets.token_urlsafe(16)
        nonce = parse_qs(urlsplit(authorization_url).query)["nonce"][0]
        self.asked[code] = {"sub": subject, "email": email, "email_verified": True, "nonce": nonce}
        return code

    def token(self, code):
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            **self.asked.pop(code),
        }
        signed = f"{encoded_json({'alg': 'ES256'})}.{encoded_json(claims)}"
        digest = int.from_bytes(hashlib.sha256(signed.encode()).digest(), "big")
        once = secrets.randbelow(ORDER - 1) + 1
        r = times(once, BASE)[0] % ORDER
        s = pow(once, -1, ORDER) * (digest + r * self.secret) % ORDER
        signature = encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "id_token": f"{signed}.{signature}",
        }
