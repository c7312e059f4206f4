"""Records one request and its answer for every operation of the OpenAPI document, from a story that
is told to a fresh server, and writes them to standard output. Told again, it comes out the same.

The server is started with IRONLEDGER_BYPASS_KEY, IRONLEDGER_BILLING_KEY, IRONLEDGER_OIDC and
IRONLEDGER_EXAMPLES_SECRET (any text); IRONLEDGER_OIDC names a file of

    [{"name": "example", "issuer": ISSUER, "client_id": "ironledger-examples",
      "client_secret_env": "IRONLEDGER_EXAMPLES_SECRET",
      "redirect_uris": ["https://app.example.com/signed-in"]}]
"""

import argparse
import hashlib
import hmac
import json
import quopri
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from issuer import Issuer
from recorder import Person, Recorder

PASSWORD = "correct horse battery"
REDIRECT = "https://app.example.com/signed-in"
PATIENCE = 10  # seconds in which a mail comes
BENCH, SQUAT, PRESS = "bench-press-barbell", "squat-barbell", "leg-press-horizontal-machine"


def kg(value):
    return {"value": value, "unit": "kg"}


def lifted(exercise, number, reps, weight, **more):
    return {"exercise": exercise, "number": number, "reps": reps, "weight": kg(weight), **more}


class Story:
    def __init__(self, arguments):
        self.arguments = arguments
        self.recorder = Recorder(arguments.url, arguments.bypass_key)
        self.recorder.shown |= {
            arguments.issuer: "https://accounts.example.com",
            "127.0.0.1": "203.0.113.7",
        }
        self.issuer = Issuer(arguments.issuer)
        self.ask, self.ago = self.recorder.ask, self.recorder.ago
        self.nobody = Person()
        self.ana = Person("ana", device="ana-phone")
        self.bruno = Person("bruno")
        self.carla = Person("carla")
        self.root = Person("root")

    def tell(self):
        self.is_anybody_there()
        self.ana_comes()
        self.ana_pays()
        self.ana_says_who_she_is()
        self.ana_plans()
        self.ana_brings_what_she_did_before()
        self.ana_trains()
        self.ana_looks_back()
        self.ana_tidies_up()
        self.carla_likes_what_ana_does()
        self.bruno_coaches()
        self.ana_and_carla_meet()
        self.somebody_looks_after_it_all()
        self.carla_signs_in_by_an_issuer()
        self.ana_leaves()

    def register(self, who, **more):
        body = {"email": who.email, "password": PASSWORD, "time_zone": self.recorder.zone, **more}
        who.enter(self.ask("auth_register", who, body))

    def refresh(self, who):
        who.enter(self.ask("auth_refresh", who, {"refresh_token": who.refresh_token}))

    def token_of_mail(self, who, subject):
        """What a mail proves to have been read, once it is there."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for file in self.arguments.mail.glob("*.eml"):
                text = quopri.decodestring(file.read_bytes()).decode()
                if f"To: {who.email}" in text and subject in text:
                    return re.search(r"(?:#|app: )([\w-]{43})", text)[1]
            time.sleep(0.05)
        raise SystemExit(f"no mail to {who.email} says {subject!r}")

    def is_anybody_there(self):
        for operation in ["health", "health_live", "health_ready", "document_openapi"]:
            self.ask(operation, self.nobody)
        # The document is not shown whole in itself.
        example = self.recorder.kept["document_openapi"]
        example["answer"] = {name: example["answer"][name] for name in ["openapi", "info"]}

    def ana_comes(self):
        ana = self.ana
        self.register(ana, units={"weight": "kg", "distance": "km"})
        token = self.token_of_mail(ana, "Confirm")
        self.ask("auth_send_verification", ana)
        self.ask("auth_verify_email", ana, {"token": token})
        tablet = Person(device="ana-tablet")
        tablet.enter(self.ask("auth_login", tablet, {"email": ana.email, "password": PASSWORD}))
        sessions = self.ask("sessions_list", ana)["data"]
        other = next(session for session in sessions if not session["current"])
        self.ask("sessions_end", ana, id=other["id"])

    def ana_pays(self):
        notice = {
            "id": "evt_1",
            "athlete": self.ana.id,
            "at": self.ago(minutes=1),
            "tier": "pro",
            "until": self.ago(days=-365),
        }
        signed_at = int(time.time())
        text = f"{signed_at}.{json.dumps(notice)}".encode()
        seal = hmac.new(self.arguments.billing_key.encode(), text, hashlib.sha256).hexdigest()
        signature = f"t={signed_at},v1={seal}"
        self.recorder.shown[signature] = f"t=1772472600,v1={hashlib.sha256(b'example').hexdigest()}"
        self.ask("billing_notice", self.nobody, notice, **{"x-billing-signature": signature})
        # Her token says the tier of before.
        self.refresh(self.ana)
        self.ask("auth_account", self.ana)

    def ana_says_who_she_is(self):
        ana = self.ana
        self.ask(
            "athletes_change",
            ana,
            {
                "username": "ana.lifts",
                "name": "Ana",
                "sex": "female",
                "birth_year": 1994,
                "height_cm": 168,
                "experience": "intermediate",
                "goal": "strength",
                "language": "pt-BR",
                "notifications": {"record": {"push": True, "email": True}},
            },
        )
        before = {"bodyweight": kg(62.5), "measured_at": self.ago(days=21)}
        slip = self.ask("athletes_measure", ana, before)["data"]["id"]
        self.ask("athletes_correct", ana, {"bodyweight": kg(63.5)}, id=slip)
        self.ask(
            "athletes_measure",
            ana,
            {"bodyweight": {"value": 139.3, "unit": "lb"}, "measured_at": self.ago(days=7)},
        )
        self.ask("athletes_measurement", ana, id=slip, unit="kg")
        self.ask("athletes_measurements", ana, limit=10)
        self.ask("athletes_show", ana)
        twice = self.ask("athletes_measure", ana, {"bodyweight": kg(63.2)})["data"]["id"]
        self.ask("athletes_remove", ana, id=twice)

    def ana_plans(self):
        ana = self.ana
        self.ask("exercises_list", ana, q="bench press", equipment="barbell", limit=2)
        self.ask("exercises_show", ana, exercise=BENCH)
        self.own = self.ask(
            "exercises_create",
            ana,
            {
                "name": "Larsen Press",
                "equipment": "barbell",
                "primary_muscles": ["chest"],
                "secondary_muscles": ["triceps", "front_delts"],
                "kind": "weight_reps",
            },
        )["data"]["id"]
        folder = self.ask("folders_create", ana, {"name": "Spring"})["data"]["id"]
        self.ask("folders_rename", ana, {"name": "Spring block"}, folder=folder)
        self.routine = self.ask(
            "routines_create",
            ana,
            {
                "name": "Push A",
                "folder": folder,
                "schedule": ["monday", "thursday"],
                "notes": "Leave two in the tank",
                "exercises": [
                    {
                        "exercise": BENCH,
                        "rest_seconds": 180,
                        "sets": [
                            {"kind": "warm_up", "reps": {"min": 10}, "weight": kg(40)},
                            {"reps": {"min": 4, "max": 6}, "weight": kg(65), "rpe": 8},
                        ],
                    },
                    {
                        "exercise": self.own,
                        "sets": [{"reps": {"min": 8, "max": 10}}],
                        "notes": "Feet off the floor",
                    },
                ],
            },
        )["data"]["id"]
        self.ask(
            "routines_change",
            ana,
            {"public": True},
            id=self.routine,
            **{"If-Match": self.recorder.etag},
        )
        self.ask("routines_show", ana, id=self.routine)
        self.ask("routines_list", ana, day="monday")
        self.ask("folders_list", ana)
        self.folder = folder

    def ana_brings_what_she_did_before(self):
        def of_week(weeks, bench, press):
            return {
                "title": "Push",
                "started_at": self.ago(days=7 * weeks),
                "completed_at": self.ago(days=7 * weeks, minutes=-50),
                "rating": 4,
                "sets": [
                    lifted(BENCH, 1, 5, bench),
                    lifted(SQUAT, 1, 5, bench + 20),
                    lifted(PRESS, 1, 10, press),
                ],
            }

        # A machine whose sled says nothing of its own weight.
        self.ask(
            "workouts_record", self.ana, {"workouts": [of_week(2, 60, 12.5), of_week(1, 62.5, 15)]}
        )
        self.ask("records", self.ana, formula="standard")
        self.recorder.cut("records", "data", to=1)
        self.recorder.cut("records", "data", 0, "by_reps")

    def ana_trains(self):
        ana = self.ana
        workout = self.ask(
            "workouts_start",
            ana,
            {
                "title": "Push A",
                "routine": self.routine,
                "started_at": self.ago(minutes=55),
            },
        )["data"]["id"]

        def log(minutes, exercise, number, reps, weight, **more):
            of_set = lifted(
                exercise, number, reps, weight, performed_at=self.ago(minutes=minutes), **more
            )
            return self.ask(
                "workouts_log_set", ana, of_set, id=workout, **{"Idempotency-Key": f"set-{minutes}"}
            )

        first = log(50, BENCH, 1, 5, 65, rpe=8, rest_seconds=180)["data"]["set"]["id"]
        log(45, BENCH, 2, 5, 65, rpe=8.5)
        self.ask(
            "workouts_correct_set",
            ana,
            {"reps": 6},
            id=workout,
            set=first,
            **{"If-Match": self.recorder.etag},
        )
        log(35, SQUAT, 1, 5, 90)
        self.ask("history_workouts", ana, status="active")
        log(25, self.own, 1, 8, 45, notes="Slow")
        # Ten times what she did before: true, for she counts the sled now.
        heavy = log(15, PRESS, 1, 10, 150)["data"]["set"]["id"]
        self.ask("workouts_confirm_set", ana, id=workout, set=heavy)
        twice = log(10, PRESS, 2, 10, 150)["data"]["set"]["id"]
        self.ask("workouts_remove_set", ana, id=workout, set=twice)
        self.ask(
            "workouts_note_exercise",
            ana,
            {"notes": "Grip a finger wider", "form_score": 85},
            id=workout,
            exercise=BENCH,
        )
        self.ask("workouts_change", ana, {"notes": "Slept badly, pressed well"}, id=workout)
        self.ask(
            "workouts_complete",
            ana,
            {
                "completed_at": self.ago(minutes=5),
                "energy": 6,
                "rating": 5,
                "soreness": {"chest": 3},
            },
            id=workout,
        )
        self.ask("workouts_show", ana, id=workout)
        self.workout, self.first = workout, first

    def ana_looks_back(self):
        ana = self.ana
        self.ask("history", ana, exercise="bench press", limit=2)
        self.recorder.cut("history", "data", to=1)
        self.ask("records_record", ana, exercise=BENCH)
        self.ask("records_progression", ana, exercise=BENCH, kind="heaviest_weight")
        self.recorder.cut("records_record", "data", "by_reps")
        self.ask("records_personal_records", ana)
        self.recorder.cut("records_personal_records", "data", "latest")
        self.ask("strength_level", ana, exercise=BENCH)
        self.ask("strength_levels", ana)
        # The model's own clock, which goes on between requests.
        levels = self.recorder.kept["strength_levels"]["answer"]
        levels["data"]["as_of"] = levels["meta"]["timestamp"]
        for operation in ["stats_overview", "stats_muscles"]:
            self.ask(operation, ana, period="30d")
        self.ask("stats_exercise", ana, exercise=BENCH, period="30d")
        self.ask("stats_volume", ana, by="day", period="3d")
        self.ask("boards", ana)
        self.recorder.cut("boards", "data", to=1)
        self.ask("boards_board", ana, board=BENCH, limit=3)
        self.ask("audit_set", ana, id=self.first)

    def ana_tidies_up(self):
        ana = self.ana
        answer = self.ask(
            "batch",
            ana,
            {
                "requests": [
                    {
                        "method": "POST",
                        "path": "/v1/workouts",
                        "body": {"title": "Oops"},
                        "idempotency_key": "start-oops",
                    },
                    {"method": "GET", "path": "/v1/routines/folders"},
                ]
            },
        )
        self.ask("workouts_discard", ana, id=answer["data"][0]["body"]["data"]["id"])
        self.ask("folders_delete", ana, folder=self.folder)
        key = {"name": "Spreadsheet", "scopes": ["training:read"], "expires_at": self.ago(days=-90)}
        key = self.ask("keys_create", ana, key)["data"]["id"]
        self.ask("keys_list", ana)
        self.ask("keys_delete", ana, id=key)

    def carla_likes_what_ana_does(self):
        ana, carla = self.ana, self.carla
        self.register(carla)
        of_ana = {"athlete": ana.id, "routine": self.routine}
        self.ask("others_list", carla, athlete=ana.id)
        self.ask("others_show", carla, **of_ana)
        self.ask("others_like", carla, **of_ana)
        self.ask("routines_liked", carla)
        copy = self.ask("others_copy", carla, {}, **of_ana)["data"]["id"]
        self.ask("others_unlike", carla, **of_ana)
        self.ask("routines_delete", carla, id=copy)

    def bruno_coaches(self):
        ana, bruno, root = self.ana, self.bruno, self.root
        self.register(bruno)
        self.register(root)
        grant = [*shlex.split(self.arguments.grant), "--email", root.email, "--role", "admin"]
        subprocess.run(grant, check=True, stdout=sys.stderr)
        self.refresh(root)
        self.ask("admin_grant_role", root, {"role": "coach"}, athlete=bruno.id)
        self.refresh(bruno)
        invitation = self.ask("coaching_invite", bruno, {"username": "ana.lifts"})["data"][
            "invitation"
        ]
        self.ask("coaching_coaches", ana)
        self.ask("coaching_accept", ana, {"invitation": invitation}, athlete=bruno.id)
        self.ask("coaching_clients", bruno)
        bruno.acts_for = ana.id
        self.ask("stats_exercises", bruno, period="30d")
        bruno.acts_for = None
        self.ask("coaching_leave", ana, athlete=bruno.id)
        self.ask("coaching_invite", bruno, {"athlete": self.carla.id})
        self.ask("coaching_dismiss", bruno, athlete=self.carla.id)

    def ana_and_carla_meet(self):
        ana, carla, root = self.ana, self.carla, self.root
        change = {"username": "carla.c", "name": "Carla", "privacy": {"private_profile": True}}
        self.ask("athletes_change", carla, change)
        self.ask("people_find", ana, q="carla")
        self.ask("people_follow", ana, athlete=carla.id)
        self.ask("people_requested", ana)
        request = self.ask("people_requests", carla)["data"][0]["follow"]
        self.ask("people_accept", carla, {"follow": request}, athlete=ana.id)
        self.ask("people_follow", carla, athlete=ana.id)
        self.ask("people_followers", carla, athlete=ana.id)
        self.ask("people_following", carla, athlete=ana.id)
        self.ask("people_relation", carla, athlete=ana.id)
        self.ask("people_profile", carla, username="ana.lifts")

        shared = self.ask("posts_share", ana, {"text": "Best bench of the year"}, id=self.workout)
        workout = shared["data"]["id"]
        self.ask("posts_show", carla, post=workout)
        self.ask("posts_workout", carla, athlete=ana.id, workout=self.workout)
        text = {"text": "Rest day", "visibility": "followers"}
        text = self.ask("posts_publish", ana, text)["data"]["id"]
        self.ask("posts_edit", ana, {"text": "Rest day, finally"}, post=text)
        self.ask("feed", carla, limit=1)
        self.ask("posts_of_athlete", carla, athlete=ana.id, limit=1)
        self.ask("posts_like", carla, post=workout)
        self.ask("posts_likes", ana, post=workout)
        comment = self.ask("posts_comment", carla, {"text": "Strong"}, post=workout)["data"]["id"]
        self.ask("posts_edit_comment", carla, {"text": "Very strong"}, comment=comment)
        self.ask("posts_like_comment", ana, comment=comment)
        self.ask("posts_comments", ana, post=workout)
        self.ask("posts_show_comment", ana, comment=comment)
        self.ask("posts_comment_likes", carla, comment=comment)
        self.ask("posts_unlike_comment", ana, comment=comment)
        self.ask("posts_unlike", carla, post=workout)

        report = {"content": comment, "reason": "spam", "text": "Says it to everybody"}
        report = self.ask("moderation_report", ana, report)["data"]["id"]
        self.ask("moderation_queue", root)
        found = {"reporter": ana.id, "report": report}
        self.ask("moderation_resolve", root, {"outcome": "dismissed"}, **found)
        self.ask("moderation_hide", root, content=comment)
        self.ask("moderation_restore", root, content=comment)
        until = {"until": self.ago(days=-7)}
        self.ask("moderation_suspend", root, until, athlete=carla.id)
        self.ask("moderation_suspension", root, athlete=carla.id)
        self.ask("moderation_lift", root, athlete=carla.id)

        self.ask("posts_delete_comment", carla, comment=comment)
        self.ask("posts_delete", ana, post=text)
        self.ask("posts_unshare", ana, id=self.workout)
        self.ask("people_unfollow", ana, athlete=carla.id)
        self.ask("people_remove_follower", ana, athlete=carla.id)
        self.ask("people_block", ana, athlete=carla.id)
        self.ask("people_blocks", ana)
        self.ask("people_unblock", ana, athlete=carla.id)

    def somebody_looks_after_it_all(self):
        ana, root = self.ana, self.root
        self.ask("admin_find", root, email=ana.email)
        self.ask("audit_workout", root, id=self.workout, athlete=ana.id)
        self.recorder.cut("audit_workout", "data", "events")
        self.ask("audit_reads", ana)
        self.ask("log_page", root, stream=f"workout-{self.workout}", limit=2)
        self.show_one_model()
        self.ask("access_all", root, athlete=ana.id, limit=2)
        self.ask("access_own", ana, limit=2)
        self.ask(
            "admin_grant_tier",
            root,
            {"tier": "pro", "until": self.ago(days=-30)},
            athlete=self.carla.id,
        )
        self.ask("admin_end_sessions", root, athlete=self.bruno.id)

    def show_one_model(self):
        """With figures of a server that has something to do."""
        shown = self.ask("models", self.root)["data"]
        self.recorder.cut("models", "data", to=1)
        self.recorder.cut("models", "data", 0, "partitions", to=1)
        same = {"events_per_second": 41.5, "lag_events": 12, "lag_seconds": 0.3, "eta_seconds": 0.3}
        shown[0] |= {
            "state": "behind",
            "troubles": [],
            "replay": None,
            "parked_events": 0,
            "waiting_events": 0,
            **same,
        }
        shown[0]["partitions"][0] |= {"position": 1204, "head": 1216, "still_seconds": 0.1, **same}

    def carla_signs_in_by_an_issuer(self):
        self.refresh(self.carla)
        self.ask("oidc_issuers", self.nobody)
        started = self.ask("oidc_start", self.carla, {"redirect_uri": REDIRECT}, issuer="example")[
            "data"
        ]
        code = self.issuer.sign_in(started["authorization_url"], "carla-0815", self.carla.email)
        finish = {"code": code, "state": started["state"], "ticket": started["ticket"]}
        self.carla.enter(self.ask("oidc_finish", self.carla, finish, issuer="example"))
        identity = self.ask("oidc_identities", self.carla)["data"][0]
        unlinked = {name: identity[name] for name in ["issuer", "subject"]}
        self.ask("oidc_unlink", self.carla, unlinked)

    def ana_leaves(self):
        ana = self.ana
        change = {"current_password": PASSWORD, "new_password": "battery staple correct"}
        self.ask("auth_change_password", ana, change)
        self.ask("auth_forgot_password", self.nobody, {"email": ana.email})
        token = self.token_of_mail(ana, "password")
        self.ask("auth_reset_password", self.nobody, {"token": token, "new_password": PASSWORD})
        again = {"email": ana.email, "password": PASSWORD}
        ana.enter(self.ask("auth_login", self.nobody, again))
        self.ask("sessions_end_all", ana)
        ana.enter(self.ask("auth_login", self.nobody, again))
        self.ask("auth_logout", self.nobody, {"refresh_token": ana.refresh_token})


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="of the server")
    parser.add_argument("--bypass-key", required=True, help="IRONLEDGER_BYPASS_KEY of the server")
    parser.add_argument("--billing-key", required=True, help="IRONLEDGER_BILLING_KEY of the server")
    parser.add_argument(
        "--mail", required=True, type=Path, help="the folder that its mail goes into"
    )
    parser.add_argument(
        "--issuer", required=True, help="ISSUER: a free address on loopback, served by this program"
    )
    parser.add_argument(
        "--grant", required=True, help="the command `ironledger admin grant` with what it needs"
    )
    story = Story(parser.parse_args())
    story.tell()
    sys.stdout.write(story.recorder.examples())


if __name__ == "__main__":
    main()
