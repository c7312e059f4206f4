"""Reads the public topic of training from its beginning to its present end, proves that no record
is missing, writes one row for each working set to a Parquet file, and plots weekly tonnage.

Everything that it knows of Ironledger is published: docs/asyncapi.json, the schemas in
events/public and the exercise library. See README.md beside it.
"""

import argparse
import base64
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from jsonschema import Draft202012Validator

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCE = "urn:ironledger:public"
PATIENCE = 30  # seconds in which a broker answers
EXIT_HOLE = 3

# Exact decimals, as the payloads have them: no float decides a sum.
KILOGRAMS = pa.decimal128(38, 12)
ROW = pa.schema([
    ("athlete", pa.string()),  # a pseudonym
    ("workout", pa.string()),
    ("set", pa.string()),
    ("exercise", pa.string()),
    ("primary_muscles", pa.list_(pa.string())),
    ("performed_at", pa.timestamp("us", tz="UTC")),
    ("reps", pa.int32()),
    ("weight_kg", KILOGRAMS),
    ("tonnage_kg", KILOGRAMS),
])


class Hole(Exception):
    """Records are missing."""


class Foreign(Exception):
    """A record that is to be parked, and why."""


@dataclass
class Event:
    """What a record says, as far as it matters here."""

    position: int
    previous: int
    epoch: int
    athlete: str
    stream: str
    kind: str
    schema: str


@dataclass
class Partition:
    """What is known of a partition: the positions prove that it is complete."""

    number: int
    # The position before the first record: more than 0 where retention has taken older ones.
    begins_after: int = 0
    last: int | None = None
    epoch: int = 0
    events: list = field(default_factory=list)

    def admits(self, event):
        """Whether the event is new; raises where some are missing before it."""
        if self.last is None:
            self.begins_after = self.last = event.previous
        if event.epoch < self.epoch:
            return False  # of a history that a restore has undone
        if event.epoch > self.epoch > 0:
            # The log was restored from a backup: this follows on an earlier event than we have.
            self.events = [(at, *what) for at, *what in self.events if at <= event.previous]
            self.last = min(self.last, event.previous)
        self.epoch = event.epoch
        if event.position <= self.last:
            return False
        if event.previous > self.last:
            raise Hole(
                f"partition {self.number}: position {event.position} follows on {event.previous}, "
                f"but the last one here is {self.last}"
            )
        self.last = event.position
        return True


def read_headers(message):
    """The event of a record's headers."""
    headers = {}
    for name, value in message.headers() or []:
        headers[name] = (value or b"").decode("utf-8", "replace")
    try:
        if headers["ce_source"] != SOURCE:
            raise Foreign(f"ce_source is {headers['ce_source']}")
        athlete, stream, _ = headers["ce_id"].split("/")
        return Event(
            position=int(headers["ce_position"]),
            previous=int(headers["ce_previousposition"]),
            epoch=int(headers["ce_epoch"]),
            athlete=athlete,
            stream=stream,
            kind=headers["ce_type"].removeprefix("ironledger."),
            schema=headers["ce_dataschema"],
        )
    except KeyError as missing:
        raise Foreign(f"no header {missing.args[0]}") from None
    except ValueError as error:
        raise Foreign(f"a header: {error}") from None


def read_payload(message, event, schemas):
    """The payload, once it is what its schema says."""
    validator = schemas.get(event.schema)
    if validator is None:
        raise Foreign(f"{event.schema} is not among the schemas: a newer version?")
    try:
        payload = json.loads(message.value() or b"", parse_float=Decimal)
    except ValueError as error:
        raise Foreign(f"no JSON: {error}") from None
    fault = next(validator.iter_errors(payload), None)
    if fault is not None:
        raise Foreign(f"{event.schema}: {fault.json_path}: {fault.message}")
    return payload


def published_schemas(folder):
    """The published schemas, by their ids."""
    texts = (path.read_text("utf-8") for path in sorted(folder.glob("*.json")))
    schemas = [json.loads(text, parse_float=Decimal) for text in texts]
    return {schema["$id"]: Draft202012Validator(schema) for schema in schemas}


class Topic:
    """A topic, from its beginning to what is its end now."""

    def __init__(self, options):
        settings = dict(setting.split("=", 1) for setting in options.property)
        settings |= {
            "bootstrap.servers": options.brokers,
            "group.id": "analytics-example",  # never joined: the client wants one
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
        self.name = options.topic
        self.consumer = Consumer(settings)
        found = self.consumer.list_topics(self.name, timeout=PATIENCE).topics[self.name]
        if found.error is not None:
            raise KafkaException(found.error)
        self.partitions = sorted(found.partitions)

    def messages(self):
        """Every record, in the order of each partition."""
        ends = {}
        for number in self.partitions:
            place = TopicPartition(self.name, number)
            first, end = self.consumer.get_watermark_offsets(place, timeout=PATIENCE)
            if first < end:
                ends[number] = end
        places = [TopicPartition(self.name, number, OFFSET_BEGINNING) for number in ends]
        self.consumer.assign(places)
        while ends:
            message = self.consumer.poll(PATIENCE)
            if message is None:
                raise TimeoutError(f"{self.name}: nothing for {PATIENCE} s")
            number = message.partition()
            if message.error() is None:
                if number in ends:
                    yield message
                    if message.offset() + 1 >= ends[number]:
                        del ends[number]
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ends.pop(number, None)
            else:
                raise KafkaException(message.error())
        self.consumer.close()


def consume(topic, schemas, parked):
    """The events of every partition, each once and proven complete, and counts of what was read."""
    partitions = {number: Partition(number) for number in topic.partitions}
    counts = dict(records=0, repetitions=0, parked=0)
    for message in topic.messages():
        counts["records"] += 1
        partition = partitions[message.partition()]
        try:
            event = read_headers(message)
            # First its place: one whose payload is refused is not missing.
            if not partition.admits(event):
                counts["repetitions"] += 1
                continue
            payload = read_payload(message, event, schemas)
            partition.events.append((event.position, event, payload))
        except Foreign as reason:
            counts["parked"] += 1
            parked.write(json.dumps({
                "partition": message.partition(),
                "offset": message.offset(),
                "reason": str(reason),
                "key": base64.b64encode(message.key() or b"").decode(),
                "value": base64.b64encode(message.value() or b"").decode(),
            }) + "\n")
    return partitions, counts


def fold(events, library):
    """The sets that the events lead to, as rows, without warm-ups."""
    exercises = dict(library)
    sets = {}
    for event, payload in events:
        athlete = event.athlete
        match event.kind:
            case "CustomExerciseCreated":
                exercises[athlete, payload["exercise_id"]] = payload["traits"]
            # A correction holds the whole new truth.
            case "SetLogged" | "SetCorrected":
                sets[athlete, payload["set_id"]] = (event.stream, payload["set"])
            case "SetRemoved":
                sets.pop((athlete, payload["set_id"]), None)
            case "WorkoutDiscarded":
                gone = (athlete, event.stream)
                sets = {key: it for key, it in sets.items() if (key[0], it[0]) != gone}
    for (athlete, set_id), (workout, done) in sets.items():
        if done["kind"] == "warm_up":
            continue
        name = done["exercise"]
        exercise = exercises.get(name) or exercises.get((athlete, name)) or {}
        weight = Decimal(done["weight"]["kg"]) if done.get("weight") else None
        # Bodyweight is nowhere in public, so exercises that need it have no tonnage.
        lifted = exercise.get("kind") == "weight_reps" and weight is not None and done.get("reps")
        yield {
            "athlete": athlete,
            "workout": workout.removeprefix("workout-"),
            "set": set_id,
            "exercise": name,
            "primary_muscles": exercise.get("primary_muscles", []),
            "performed_at": datetime.fromisoformat(done["performed_at"]),
            "reps": done.get("reps"),
            "weight_kg": weight,
            "tonnage_kg": weight * done["reps"] if lifted else None,
        }


def weekly_tonnage(table):
    """Tonnes by muscle and by the Monday of the week (UTC); several primary muscles share a set."""
    weeks = defaultdict(lambda: defaultdict(Decimal))
    columns = ("performed_at", "primary_muscles", "tonnage_kg")
    for at, muscles, tonnage in zip(*(table[name].to_pylist() for name in columns)):
        if tonnage is None:
            continue
        day = at.astimezone(timezone.utc).date()
        for muscle in muscles:
            monday = day - timedelta(days=day.weekday())
            weeks[muscle][monday] += tonnage / len(muscles) / 1000
    return weeks


def plot(table, path):
    """Weekly tonnage as stacked columns, the largest muscles by name and the others together."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_muscle = weekly_tonnage(table)
    mondays = sorted({monday for weeks in by_muscle.values() for monday in weeks})
    ranked = sorted(by_muscle, key=lambda muscle: -sum(by_muscle[muscle].values()))
    shown = [(name.replace("_", " "), [name]) for name in ranked[:8]]
    if ranked[8:]:
        shown.append(("others", ranked[8:]))
    figure, axes = pyplot.subplots(figsize=(12, 6), layout="constrained")
    floor = [0.0] * len(mondays)
    for label, names in shown:
        heights = [float(sum(by_muscle[name][monday] for name in names)) for monday in mondays]
        axes.bar(mondays, heights, width=6, bottom=floor, align="edge", label=label)
        floor = [below + height for below, height in zip(floor, heights)]
    axes.set_title("Weekly tonnage per primary muscle")
    axes.set_xlabel("week beginning (UTC)")
    axes.set_ylabel("tonnes")
    if shown:
        axes.set_ylim(0, 1.2 * max(floor))
        axes.legend(loc="upper left", ncols=3)
    figure.savefig(path, format="png", dpi=100)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    say = parser.add_argument
    say("--brokers", default="localhost:9092", help="host:port,host:port")
    say("--topic", default="ironledger.training.v1")
    say("--property", action="append", default=[], metavar="NAME=VALUE",
        help="of librdkafka, such as those of TLS and SASL")
    say("--sets", type=Path, default=Path("sets.parquet"), help="the Parquet file to write")
    say("--parked", type=Path, default=Path("parked.jsonl"),
        help="where records go that are not ours or not of their schema, with the reason")
    say("--plot", type=Path, metavar="PNG", help="the picture to draw")
    say("--summary", action="store_true", help="say as JSON what was read and written")
    say("--schemas", type=Path, default=REPOSITORY / "events/public")
    say("--library", type=Path, default=REPOSITORY / "crates/domain/library/exercises.json")
    return parser.parse_args()


def main():
    options = parse_arguments()
    schemas = published_schemas(options.schemas)
    library = {exercise["id"]: exercise for exercise in json.loads(options.library.read_text("utf-8"))}
    try:
        with options.parked.open("w", encoding="utf-8") as parked:
            partitions, counts = consume(Topic(options), schemas, parked)
    except Hole as hole:
        print(f"records are missing: {hole}", file=sys.stderr)
        return EXIT_HOLE
    # An athlete is in one partition, so the order of partitions does not matter.
    events = (what for partition in partitions.values() for _, *what in partition.events)
    pq.write_table(pa.Table.from_pylist(list(fold(events, library)), schema=ROW), options.sets)
    table = pq.read_table(options.sets)
    if options.plot:
        plot(table, options.plot)
    if options.summary:
        tonnages = (tonnage for tonnage in table["tonnage_kg"].to_pylist() if tonnage is not None)
        begins = {it.number: it.begins_after for it in partitions.values() if it.begins_after}
        summary = counts | {
            "sets": table.num_rows,
            "tonnage_kg": f"{sum(tonnages, Decimal(0)).normalize():f}",
            "athletes": len(set(table["athlete"].to_pylist())),
            "begins_after": begins,
        }
        print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
