"""An athlete's first day, told to a server by the client made from the OpenAPI document.

No address of a route and no JSON is written down here: what the document says wrongly is no type,
or fails.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar
from uuid import UUID, uuid4

from ironledger_client import AuthenticatedClient, Client
from ironledger_client.api.auth import auth_register
from ironledger_client.api.history import history
from ironledger_client.api.records import records_record
from ironledger_client.api.stats import stats_overview
from ironledger_client.api.workouts import (
    workouts_change,
    workouts_complete,
    workouts_correct_set,
    workouts_log_set,
    workouts_show,
    workouts_start,
)
from ironledger_client.models import (
    ChangeWorkout,
    CompleteWorkout,
    CompleteWorkoutSoreness,
    CorrectSet,
    Failure,
    HistoryResponse200,
    ListMeta,
    LogSet,
    Meta,
    RecordsRecordResponse200,
    Register,
    StartWorkout,
    StatsOverviewResponse200,
    TypedWeight,
    UnitsInput,
    Workout,
    WorkoutsShowResponse200,
)
from ironledger_client.types import UNSET, Response, Unset

T = TypeVar("T")

BENCH = "bench-press-barbell"


def done(response: Response[Failure | T]) -> T:
    """What a command answered."""
    assert response.parsed is not None, response.status_code
    assert not isinstance(response.parsed, Failure), response.parsed
    return response.parsed


def shown(kind: type[T], response: Response[Any]) -> T:
    """What a query answered. It is asked for by its kind, since "nothing changed" has no type."""
    assert isinstance(response.parsed, kind), (response.status_code, response.parsed)
    return response.parsed


def refused(response: Response[Any], status: int) -> Failure:
    assert response.status_code == status, (response.status_code, response.parsed)
    assert isinstance(response.parsed, Failure)
    return response.parsed


def position(meta: Meta | ListMeta) -> str:
    assert isinstance(meta.position, str)
    return meta.position


@dataclass
class Server:
    url: str
    headers: dict[str, str]

    def anybody(self) -> Client:
        return Client(base_url=self.url, headers=self.headers, raise_on_unexpected_status=True)

    def known(self, token: str) -> AuthenticatedClient:
        return AuthenticatedClient(
            base_url=self.url, headers=self.headers, token=token, raise_on_unexpected_status=True
        )


def registered(server: Server) -> AuthenticatedClient:
    body = Register(
        email=f"{uuid4().hex}@example.com",
        password="correct horse battery",
        time_zone="Europe/Paris",
        units=UnitsInput(weight="lb"),
    )
    signed_in = done(auth_register.sync_detailed(client=server.anybody(), body=body)).data
    assert (signed_in.role, signed_in.tier, signed_in.token_type) == ("athlete", "free", "Bearer")
    return server.known(signed_in.access_token)


def train(athlete: AuthenticatedClient, days_ago: int, pounds: float) -> str:
    """A whole workout of one set; answers the position after it."""
    begun = datetime.now(timezone.utc) - timedelta(days=days_ago)
    start = StartWorkout(title=f"{days_ago} days ago", started_at=begun)
    workout = done(workouts_start.sync_detailed(client=athlete, body=start)).data.id
    body = LogSet(
        exercise=BENCH,
        number=1,
        reps=5,
        weight=TypedWeight(value=pounds, unit="lb"),
        performed_at=begun,
    )
    done(workouts_log_set.sync_detailed(workout, client=athlete, body=body))
    end = CompleteWorkout(completed_at=begun + timedelta(hours=1))
    return position(done(workouts_complete.sync_detailed(workout, client=athlete, body=end)).meta)


def log_sets(athlete: AuthenticatedClient, workout: UUID) -> UUID:
    """In kilograms and pounds, one of them sent twice; answers the one in pounds."""
    kilograms = LogSet(
        exercise=BENCH, number=1, reps=5, weight=TypedWeight(value=100, unit="kg"), rpe=8.5
    )
    first = done(workouts_log_set.sync_detailed(workout, client=athlete, body=kilograms)).data
    assert first.set_ is not None and first.set_.weight is not None
    assert (first.set_.exercise.name, first.set_.rpe) == ("Bench Press (Barbell)", 8.5)
    assert (first.set_.weight.kg, first.set_.kind, first.set_.unusual) == (100, "normal", False)

    pounds = LogSet(exercise=BENCH, number=2, reps=3, weight=TypedWeight(value=225, unit="lb"))
    sent = [
        workouts_log_set.sync_detailed(
            workout, client=athlete, body=pounds, idempotency_key="second-set"
        )
        for _ in range(2)
    ]
    once, twice = (done(response).data for response in sent)
    assert once == twice and "Idempotency-Replayed" in sent[1].headers
    assert once.set_ is not None and once.set_.weight is not None
    assert (once.set_.weight.value, once.set_.weight.unit) == (225, "lb"), "as it was typed"
    assert abs(once.set_.weight.kg - 102.058) < 0.001
    assert (once.workout.status, once.workout.totals.sets, once.workout.totals.reps) == (
        "active",
        2,
        8,
    )
    return once.set_.id


def meet_a_change(athlete: AuthenticatedClient, workout: UUID, one_set: UUID) -> None:
    """What one device has seen, another has changed: the first is told what is there now."""
    seen = workouts_show.sync_detailed(workout, client=athlete)
    tag = seen.headers["ETag"]
    assert shown(WorkoutsShowResponse200, seen).data.title == "Push"
    assert (
        workouts_show.sync_detailed(workout, client=athlete, if_none_match=tag).status_code == 304
    )

    done(
        workouts_correct_set.sync_detailed(
            workout, one_set, client=athlete, body=CorrectSet(reps=4), if_match=tag
        )
    )
    rename = ChangeWorkout(title="Push A", notes=None)
    stale = refused(
        workouts_change.sync_detailed(workout, client=athlete, body=rename, if_match=tag), 412
    )
    assert stale.error.code == "STALE"
    assert isinstance(stale.error.current, Mapping)
    current = Workout.from_dict(stale.error.current)
    assert (current.title, current.totals.reps) == ("Push", 9)
    renamed = done(workouts_change.sync_detailed(workout, client=athlete, body=rename)).data
    assert (renamed.title, renamed.notes) == ("Push A", None)


def be_told_what_is_wrong(athlete: AuthenticatedClient, workout: UUID) -> None:
    wrong = LogSet(
        exercise="no such thing", number=0, reps=-1, weight=TypedWeight(value=-5, unit="kg")
    )
    failure = refused(workouts_log_set.sync_detailed(workout, client=athlete, body=wrong), 400)
    assert failure.error.code == "VALIDATION_ERROR"
    assert {detail.field for detail in failure.error.details} == {
        "exercise",
        "number",
        "reps",
        "weight",
    }
    assert all(detail.message for detail in failure.error.details)


def look_back(athlete: AuthenticatedClient, at: str) -> None:
    pages: list[list[str | None]] = []
    cursor: str | None | Unset = UNSET
    while cursor is not None:
        page = shown(
            HistoryResponse200,
            history.sync_detailed(client=athlete, limit=2, cursor=cursor, x_min_position=at),
        )
        assert page.meta.count == len(page.data)
        pages.append([workout.title for workout in page.data])
        cursor = page.meta.next_cursor
    assert pages == [["Push A", "2 days ago"], ["3 days ago"]]

    records = shown(
        RecordsRecordResponse200,
        records_record.sync_detailed(BENCH, client=athlete, x_min_position=at, unit="lb"),
    ).data
    heaviest = next(record for record in records.records if record.kind == "heaviest_weight")
    assert (records.measurement, heaviest.value, heaviest.unit) == ("weight_reps", 225, "lb")

    overview = shown(
        StatsOverviewResponse200,
        stats_overview.sync_detailed(client=athlete, x_min_position=at, period="30d"),
    ).data
    assert (overview.sessions, overview.sets, overview.reps) == (3, 4, 19)
    assert overview.period.time_zone == "Europe/Paris"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the server")
    parser.add_argument(
        "--bypass-key", default="", help="IRONLEDGER_BYPASS_KEY of the server, if it has one"
    )
    arguments = parser.parse_args()
    server = Server(arguments.url, {"X-Internal-Bypass": arguments.bypass_key})
    athlete = registered(server)
    for days_ago, pounds in [(3, 205), (2, 215)]:
        train(athlete, days_ago, pounds)
    workout = done(
        workouts_start.sync_detailed(client=athlete, body=StartWorkout(title="Push"))
    ).data.id
    one_set = log_sets(athlete, workout)
    be_told_what_is_wrong(athlete, workout)
    meet_a_change(athlete, workout, one_set)
    feeling = CompleteWorkout(energy=7, rating=5, soreness=CompleteWorkoutSoreness(chest=3))
    completed = done(workouts_complete.sync_detailed(workout, client=athlete, body=feeling))
    assert completed.data.status == "completed" and completed.data.feeling is not None
    assert completed.data.feeling.rating == 5
    look_back(athlete, position(completed.meta))
    stranger = server.known("nobody's")
    assert refused(stats_overview.sync_detailed(client=stranger), 401).error.code == "TOKEN_INVALID"


if __name__ == "__main__":
    main()
