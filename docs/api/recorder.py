"""Asks a server by the ids of its operations, and keeps what was asked and answered."""

import base64
import hashlib
import json
import re
import time
import uuid
from bisect import bisect
from datetime import date, datetime, timedelta, timezone
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

# When and where the examples play, whenever they are recorded.
STAGE = datetime(2026, 3, 2, 17, 30, tzinfo=timezone.utc)
ZONE, HOURS_FROM_UTC = "America/Sao_Paulo", -3
STEP = timedelta(seconds=20)  # between two requests of the story
# That the story takes. Times that clients say are further from its begin, by the time of day.
LONGEST = timedelta(minutes=10)

POSITION = "AQAAAABpo4XIAAcAAAAAAAABNw"
EPOCH, PARTITION, FIRST_POSITION = 1772380800, 7, 300
HEAD = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What is made at random, by how it looks: access token, refresh token, secret of an API key.
SECRET = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|il[rk]_[\w-]+")
# Of posts and comments: a letter, then owner and id.
CONTENT = re.compile(r"\b([wrtc])([\w-]{43})(?![\w-])")
IN_QUERY = re.compile(r"\b((?:code_challenge|nonce|state)=)([\w-]+)")
TAG = re.compile(r'"(\d+-)?[0-9a-f]{24}"')
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
RANDOM = re.compile(r"[\w/+=-]{20,}")
# The same, by the name of their field or parameter.
SECRETS = {"code", "csrf_token", "sealed", "state", "ticket", "token"}
POSITIONS = {"X-Min-Position", "min_position", "position"}


class Person:
    """Who asks: nobody known, or an athlete who has signed in."""

    def __init__(self, name=None, device=None):
        self.email = name and f"{name}@example.com"
        self.device = device
        self.token = self.refresh_token = self.id = None
        self.acts_for = None

    def enter(self, answer):
        """Takes in the tokens of an answer to signing in."""
        data = answer["data"]
        self.id, self.token = data["athlete"], data["access_token"]
        self.refresh_token = data["refresh_token"]


class Recorder:
    def __init__(self, url, bypass_key):
        self.url, self.bypass_key = url, bypass_key
        with urlopen(f"{url}/openapi.json") as response:
            document = json.load(response)
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation.get("parameters", []))
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            # A stream has no end that an example could show.
            if "text/event-stream" not in operation["responses"].get("200", {}).get("content", {})
        }
        self.begin = datetime.now(timezone.utc).replace(microsecond=0)
        # The zone in which it is afternoon now, as on the stage: no midnight falls into the story.
        west = (self.begin.hour - STAGE.hour - HOURS_FROM_UTC + 11) % 24 - 11
        self.zone, self.today = f"Etc/GMT{west:+d}", (self.begin - timedelta(hours=west)).date()
        self.starts, self.kept = [], {}
        self.position, self.etag = None, None
        self.shown = {self.zone: ZONE}  # what an example shows in place of what was there

    def ago(self, **span):
        """A time before the story, as clients say it."""
        return (self.begin - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ask(self, operation, who, body=None, **parameters):
        """Asks; the first time is the operation's example."""
        method, path, known = self.operations[operation]
        names = {parameter["name"]: parameter["in"] for parameter in known}
        if "X-Min-Position" in names and self.position:
            parameters["X-Min-Position"] = self.position
        if who.acts_for:
            parameters["X-Acting-For"] = who.acts_for
        by_place = {"path": {}, "query": {}, "header": {}}
        for name, value in parameters.items():
            by_place[names[name]][name] = value
        for name, value in by_place["path"].items():
            path = path.replace(f"{{{name}}}", quote(value))
        if by_place["query"]:
            path += f"?{urlencode(by_place['query'])}"
        headers = {
            "X-Internal-Bypass": self.bypass_key,
            "User-Agent": "Ironledger/2.1 (Android 16)",
            **by_place["header"],
        }
        if who.token:
            headers["Authorization"] = f"Bearer {who.token}"
        if who.device:
            headers["X-Device-ID"] = who.device
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        # Apart by more than what a server cuts its times to: each time is of one request alone.
        time.sleep(0.003)
        now = datetime.now(timezone.utc)
        self.starts.append(now.replace(microsecond=now.microsecond // 1000 * 1000))
        try:
            with urlopen(Request(self.url + path, data, headers, method=method)) as response:
                status, etag = response.status, response.headers["ETag"]
                answer = json.load(response)
        except HTTPError as refused:
            raise SystemExit(f"{operation}: {refused.code} {refused.read().decode()}") from None
        self.etag = etag or self.etag
        if method != "GET":
            self.position = answer.get("meta", {}).get("position", self.position)
        if operation not in self.kept:
            example = {"parameters": parameters, "status": status, "answer": answer}
            self.kept[operation] = example if body is None else example | {"body": body}
        return answer

    def cut(self, operation, *path, to=2):
        """Shows no more than the first entries of a list in the answer."""
        answer = part = self.kept[operation]["answer"]
        for name in path:
            part = part[name]
        del part[to:]
        if path == ("data",):
            answer["meta"]["count"] = len(part)

    def examples(self):
        """What was kept, by operation, with stand-ins for what varies between runs."""
        missing = self.operations.keys() - self.kept.keys()
        if missing:
            raise SystemExit(f"the story leaves out {', '.join(sorted(missing))}")
        if datetime.now(timezone.utc) - self.begin > LONGEST:
            raise SystemExit(f"the story took longer than {LONGEST}")
        stand_ins = StandIns(self)
        kept = {operation: stand_ins.of(example) for operation, example in self.kept.items()}
        return json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class StandIns:
    """Numbers ids in the order in which they appear, and moves the story to its stage."""

    def __init__(self, recorder):
        self.recorder = recorder
        self.known = {}

    def of(self, value, name=None):
        if name == "epoch":
            return EPOCH
        if name == "partition":
            return PARTITION
        if isinstance(value, dict):
            if isinstance(value.get("position"), int) and "version" in value:
                # An event of the one stream that the examples show.
                value = value | {"position": FIRST_POSITION + value["version"]}
            return {key: self.of(part, key) for key, part in value.items()}
        if isinstance(value, list):
            return [self.of(part, name) for part in value]
        if isinstance(value, str):
            return self.text(value, name)
        return value

    def text(self, text, name):
        if MOMENT.fullmatch(text):
            return self.moment(datetime.fromisoformat(text)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if DAY.fullmatch(text):
            stage = (STAGE + timedelta(hours=HOURS_FROM_UTC)).date()
            return str(date.fromisoformat(text) - self.recorder.today + stage)
        if name in POSITIONS:
            return POSITION
        if name == "next_cursor":
            return self.digest(text)[:24]
        if name in SECRETS and RANDOM.fullmatch(text):
            return self.random(text)
        for real, shown in self.recorder.shown.items():
            text = text.replace(real, shown)
        text = IN_QUERY.sub(lambda found: found[1] + self.random(found[2]), text)
        text = SECRET.sub(lambda found: self.secret(found[0]), text)
        text = TAG.sub(lambda found: f'"{found[1] or ""}{self.digest(found[0])[:24]}"', text)
        text = CONTENT.sub(lambda found: found[1] + self.content(found[2]), text)
        return UUID.sub(lambda found: self.id(found[0]), text)

    def id(self, value):
        return f"01900000-0000-7000-8000-{self.number('id', value):012x}"

    def content(self, text):
        both = base64.urlsafe_b64decode(text + "=")
        shown = [uuid.UUID(self.id(str(uuid.UUID(bytes=part)))) for part in (both[:16], both[16:])]
        made = b"".join(part.bytes for part in shown)
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    def moment(self, moment):
        """What happened at a request goes to its place on the stage; else distances stay."""
        days, rest = divmod(moment - self.recorder.begin, timedelta(days=1))
        if rest < LONGEST:
            rest = STEP * bisect(self.recorder.starts, self.recorder.begin + rest)
        return STAGE + timedelta(days=days) + rest

    def number(self, kind, value):
        numbers = self.known.setdefault(kind, {})
        return numbers.setdefault(value, len(numbers) + 1)

    def digest(self, value):
        return hashlib.sha256(str(self.number("random", value)).encode()).hexdigest()

    def random(self, value):
        """Something as long, of the letters of base64."""
        made = hashlib.shake_256(str(self.number("random", value)).encode()).digest(len(value))
        return base64.urlsafe_b64encode(made).decode()[: len(value)]

    def secret(self, value):
        if value.startswith("il"):
            return value[:4] + self.random(value[4:])
        made = self.random(value)
        return f"{HEAD}.{made[:64]}.{made[64:107]}"
