"""What a schema cannot say of a request to Ironledger: who sends it, what is there already, what time it is.

Nothing here touches what is wrong on purpose: a part of a request that is to be refused goes out as it was made.
"""

import hashlib
import hmac
import json
import os
import re
import time
import urllib.request
import uuid
import zlib
from datetime import datetime

import schemathesis
from hypothesis import strategies as st
from schemathesis.core import NOT_SET

with open(os.environ["FUZZ_CALLER"], encoding="utf-8") as file:
    CALLER = json.load(file)
THERE = CALLER["there"]
THROWAWAY = CALLER["throwaway"]

EXERCISES = ["bench-press-barbell", "plank", "pull-up", "running", "squat-barbell"]
OFFSETS = ["Z", "+01:00", "-03:30"]
OF_OTHERS = {
    f"/v1/athletes/{{athlete}}/{what}"
    for what in ("follow", "followers", "following", "posts", "relation")
}


def uuid7(number: int) -> str:
    head = (1_700_000_000_000 + number % 10**11) << 80 | 7 << 76 | 2 << 62
    return str(uuid.UUID(int=head | (number >> 64 & 0xFFF) << 64 | number & (1 << 62) - 1))


# Of any version, or of any year, few would be valid; of time zones no pattern says which there are.
schemathesis.openapi.format("uuid", st.integers(0, 2**127).map(uuid7))
schemathesis.openapi.format(
    "date-time",
    st.builds(
        lambda at, offset: at.isoformat(timespec="milliseconds") + offset,
        st.datetimes(datetime(1901, 1, 1), datetime(2026, 1, 1)),
        st.sampled_from(OFFSETS),
    ),
)
schemathesis.openapi.format(
    "iana-time-zone", st.sampled_from(["America/St_Johns", "Asia/Kolkata", "Europe/Paris", "UTC"])
)


@schemathesis.hook
def before_load_schema(context, document):
    """Who coaches nobody would be refused at the door (403), and everything behind it go untried."""
    if CALLER["acts"]:
        return
    for path in document["paths"].values():
        for operation in path.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [p for p in parameters if p["name"] != "X-Acting-For"]


def wrong_parts(case) -> set[str]:
    """The parts of a request that are to be refused."""
    parts = case.meta.components.items()
    return {part.name for part, how in parts if how.mode.is_negative}


def is_without_token(case) -> bool:
    about = case.meta.phase.data
    missing = "missing" in str(getattr(about, "scenario", "")).lower()
    return missing and str(getattr(about, "parameter", "")).lower() == "authorization"


@schemathesis.hook
def before_call(context, case, kwargs):
    # With its headers touched, the token that is left out on purpose would be back.
    if case.meta is None or is_without_token(case):
        return
    wrong = wrong_parts(case)
    tested = getattr(case.meta.phase.data, "parameter", None)
    if case.headers:
        amend_headers(case, tested, "HEADER" in wrong)
    if case.query and "QUERY" not in wrong:
        # Which cursors are good, no schema says; and what has some of its fields is none of the document's.
        for name in ("cursor", "fields"):
            case.query.pop(name, None)
    if case.path_parameters and "PATH" not in wrong:
        name_what_is_there(case)
    if "BODY" not in wrong:
        fit(case.body)
    if THROWAWAY:
        let_it_end(case, wrong)


def amend_headers(case, tested, is_wrong):
    key = case.headers.get("Idempotency-Key")
    # The same key would be said with other requests, which is 422.
    if tested != "Idempotency-Key" and isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key):
        number = int(hashlib.sha256(f"{case.id} {key}".encode()).hexdigest()[:32], 16)
        case.headers["Idempotency-Key"] = str(uuid.UUID(int=number))
    # No position that somebody made up is of this log (409).
    if tested != "X-Min-Position" and not is_wrong:
        case.headers.pop("X-Min-Position", None)
    # Nor is such a tag fresh (412); among the examples of fuzzing, some stay.
    if tested != "If-Match" and case.meta.phase.name.value != "fuzzing":
        case.headers.pop("If-Match", None)


def name_what_is_there(case):
    """Three of four requests name what is there, else most would be 404; what is deleted is made up."""
    if case.meta.phase.name.value == "stateful" or case.method == "DELETE":
        return
    if zlib.crc32(case.id.encode()) % 4 == 0:
        return
    names, path = case.path_parameters, case.path
    if "exercise" in names:
        names["exercise"] = "squat-barbell"
    if "routine" in names or path == "/v1/athletes/{athlete}/routines":
        names["athlete"] = THERE["other"]
        if "routine" in names:
            names["routine"] = THERE["public_routine"]
    if path in OF_OTHERS:
        names["athlete"] = THERE["other"]
    if path == "/v1/athletes/{athlete}/block":
        names["athlete"] = THERE["scapegoat"]
    if "username" in names:
        names["username"] = THERE["other_name"]
    if "content" in names:
        names["content"] = THERE["scapegoat_post"]
    for what in ("post", "comment"):
        if what in names:
            # Only one's own can be changed.
            own = case.method == "PATCH" and what in THERE
            names[what] = THERE[what if own else f"public_{what}"]
    for beginning, what in (
        ("/v1/workouts/{id}", "workout"),
        ("/v1/audit/workouts/{id}", "workout"),
        ("/v1/audit/sets/{id}", "set"),
        ("/v1/routines/{id}", "routine"),
        ("/v1/routines/folders/{id}", "folder"),
        ("/v1/athletes/me/measurements/{id}", "measurement"),
    ):
        if path.startswith(beginning) and what in THERE:
            names["id"] = THERE[what]
    if "set" in names and "set" in THERE:
        names["set"] = THERE["set"]


def fit(part):
    """Exercises that there are, and sets that are measured as their exercise is."""
    if isinstance(part, list):
        for entry in part:
            fit(entry)
    if not isinstance(part, dict):
        return
    slug = part.get("exercise")
    if isinstance(slug, str) and re.fullmatch("[a-z0-9-]{1,64}", slug):
        part["exercise"] = EXERCISES[zlib.crc32(slug.encode()) % len(EXERCISES)]
        sets = part.get("sets", [part])
        if isinstance(sets, list) and ("sets" in part or "number" in part):
            part["exercise"] = "squat-barbell"
            for one in sets:
                if isinstance(one, dict):
                    one.pop("distance_metres", None)
                    if "number" in one:
                        one["reps"] = one.get("reps") or 5
                        one["weight"] = one.get("weight") or {"value": 50, "unit": "kg"}
    if isinstance(part.get("content"), str) and "reason" in part:
        part["content"] = THERE["public_post"]
    if isinstance(part.get("folder"), str) and "folder" in THERE:
        part["folder"] = THERE["folder"]
    for entry in part.values():
        fit(entry)


def let_it_end(case, wrong):
    """What ends a session or a right, of somebody who has it."""
    body = case.body if isinstance(case.body, dict) and "BODY" not in wrong else {}
    if "current_password" in body:
        body["current_password"] = THROWAWAY["password"]
    if "/admin/" in case.path and "PATH" not in wrong:
        case.path_parameters["athlete"] = THERE["other"]
    if case.path == "/v1/billing/notices" and "HEADER" not in wrong:
        if "athlete" in body:
            body["athlete"] = THERE["other"]
        sign(case)


def sign(case):
    text = b"" if case.body is NOT_SET else json.dumps(case.body, default=str).encode()
    at = str(int(time.time()))
    signature = hmac.new(THROWAWAY["billing_key"].encode(), f"{at}.".encode() + text, hashlib.sha256)
    case.headers = case.headers or {}
    case.headers["x-billing-signature"] = f"t={at},v1={signature.hexdigest()}"


class OfItsOwn:
    """A session for one request, which may end it: with one for all, most would be refused (401)."""

    def get(self, case, context):
        who = {"email": f"{uuid.uuid4().hex}@example.com", "password": THROWAWAY["password"]}
        path = "/v1/auth/register"
        if "/admin/" in case.path:
            who["email"], path = THROWAWAY["admin"], "/v1/auth/login"
        else:
            who["time_zone"] = "Europe/Paris"
        headers = {"Content-Type": "application/json", "X-Internal-Bypass": THROWAWAY["bypass_key"]}
        request = urllib.request.Request(
            CALLER["url"] + path, json.dumps(who).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["data"]["access_token"]

    def set(self, case, token, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {token}"


if THROWAWAY:
    schemathesis.auth(refresh_interval=None)(OfItsOwn)


# What is wrong with a request that is valid by its schema: the clock, other fields or what is there say so.
BEYOND = re.compile(
    "|".join(
        (
            "must (not lie|be) in the future",
            "must not lie before (from|the start)",
            "must not be before from",
            "must not move a set into the future or before 1900",
            "must be given with (from|to)",
            "must not be less than min",
            "must not be given twice",
            "must be an exercise of the library or one of your own",
            "must be a routine of yours",
            "must be one of your folders",
            r"must be absent: the exercise is not measured by \w+",
            "must be given for this exercise",
            "can be given once the workout is completed",
            "must not be given: free does not end",
            "must be given, here or in the cookie",
            "must be given, or (athlete|(athlete|username), and not both)",
            "is the workout's: change it there",
            "must not be given: nobody is suspended",
            "must not be hidden: the report is of an athlete",
            "must lie in the future",
            "must not be a name of the house",
            r"must have (at most \d+ sets|notes on at most \d+ exercises) in all",
            "must be one that is configured",
        )
    )
)


@schemathesis.check
def valid_is_taken(context, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive or wrong_parts(case):
        return
    if response.status_code != 400:
        return
    error = response.json()["error"]
    # Of tokens that were mailed, no schema says which are good.
    if error["code"] == "MAIL_TOKEN_INVALID":
        return
    others = [d for d in error["details"] if not BEYOND.fullmatch(d["message"])]
    assert error["details"] and not others, f"refused: {error['code']} {others}"
