//! `/v1/routines…`: plans, folders for them, workouts that follow them, and those of others.

use serde_json::{Value, json};
use testkit::{Answer, App, Client, Method, eventually, new_id};

use crate::app;

const ROUTINES: &str = "/v1/routines";
const FOLDERS: &str = "/v1/routines/folders";

fn push() -> Value {
    json!({
        "name": "Push", "notes": "slowly", "schedule": ["thursday", "monday"],
        "exercises": [
            {
                "exercise": "bench-press-barbell", "superset_id": 1, "notes": "elbows in",
                "sets": [
                    { "kind": "warm_up", "reps": { "min": 10 } },
                    { "reps": { "min": 6, "max": 8 }, "weight": { "value": 225, "unit": "lb" }, "rpe": 8.5 },
                ],
            },
            {
                "exercise": "running", "rest_seconds": 0,
                "sets": [{ "duration_seconds": 1800, "distance_metres": 5000 }],
            },
        ],
    })
}

fn named(name: &str) -> Value {
    json!({ "name": name })
}

fn id(answer: &Answer) -> &str {
    answer.data()["id"].as_str().unwrap()
}

fn of(athlete: &Client) -> String {
    format!("/v1/athletes/{}/routines", athlete.athlete.unwrap())
}

async fn put(client: &Client, path: &str) -> Answer {
    Answer::to(client.request(Method::PUT, path)).await
}

async fn names(client: &Client, query: &str, position: &str) -> Vec<String> {
    let list = client.get_at(&format!("{ROUTINES}{query}"), position).await.expect(200);
    list.each("name").into_iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_whole_life_of_a_routine() {
    let app = app().await;
    let athlete = app.athlete().await;
    let made = athlete.post(ROUTINES, push()).await.expect(201);
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("{ROUTINES}/{}", id(&made)));
    let data = made.data();
    assert_eq!(data["exercises"][0]["exercise"]["name"], "Bench Press (Barbell)");
    assert_eq!(data["exercises"][0]["rest_seconds"], 90, "by default");
    assert_eq!(data["exercises"][0]["sets"][0]["reps"], json!({ "min": 10, "max": 10 }));
    assert_eq!(data["exercises"][0]["sets"][1]["weight"]["value"], 225, "as it was typed");
    assert_eq!(data["exercises"][1]["rest_seconds"], 0);
    assert_eq!(data["schedule"], json!(["monday", "thursday"]), "in the order of the week");
    assert_eq!((&data["public"], &data["folder"]), (&json!(false), &Value::Null));
    let read = athlete.get(&path).await.expect(200);
    assert_eq!((read.data(), read.header("etag")), (data, made.header("etag")));
    let kilos = athlete.get(&format!("{path}?unit=kg")).await.expect(200);
    assert_eq!(kilos.data()["exercises"][0]["sets"][1]["weight"]["value"], 102.06);

    // What is absent stays, null empties; who believes something old is told what is there.
    let change = json!({ "name": "Push A", "notes": null, "schedule": ["friday"] });
    let changed = athlete.patch(&path, change.clone()).await.expect(200);
    assert_eq!(changed.data()["exercises"], data["exercises"]);
    assert_eq!(changed.data()["notes"], Value::Null);
    let again = athlete.patch(&path, change).await.expect(200);
    assert_eq!(again.position(), changed.position(), "it says so already");
    let stale = athlete.request(Method::PATCH, &path).header("if-match", read.header("etag"));
    let stale = Answer::to(stale.json(&named("Pull"))).await.refused(412, "STALE");
    assert_eq!(&stale.body["error"]["current"], changed.data());
    let good = athlete.request(Method::PATCH, &path).header("if-match", changed.header("etag"));
    let changed = Answer::to(good.json(&json!({ "schedule": null }))).await.expect(200);
    assert_eq!(changed.data()["schedule"], json!([]));

    let list = athlete.get_at(ROUTINES, changed.position()).await.expect(200);
    let entry = &list.list()[0];
    assert_eq!((&entry["name"], &entry["exercise_count"]), (&json!("Push A"), &json!(2)));
    assert_eq!((&entry["likes"], &entry["schedule"]), (&json!(0), &json!([])));

    let deleted = athlete.delete(&path).await.expect(200);
    assert_eq!(deleted.data(), &Value::Null);
    assert_eq!(athlete.delete(&path).await.expect(200).position(), deleted.position());
    athlete.get(&path).await.refused(404, "NOT_FOUND");
    athlete.patch(&path, named("x")).await.refused(404, "NOT_FOUND");
    assert_eq!(names(&athlete, "", deleted.position()).await, Vec::<String>::new());
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn folders_and_days_find_routines() {
    let app = app().await;
    let athlete = app.athlete().await;
    let folder = json!({ "id": new_id(), "name": "Summer" });
    let made = athlete.post(FOLDERS, folder.clone()).await.expect(201);
    let again = athlete.post(FOLDERS, folder).await.expect(201);
    assert_eq!(again.position(), made.position(), "told twice, made once");
    let folder = id(&made);
    let path = format!("{FOLDERS}/{folder}");
    let renamed = athlete.patch(&path, named("Winter")).await.expect(200);
    assert_eq!(athlete.get(FOLDERS).await.expect(200).list(), [renamed.data().clone()]);

    let make = async |name: &str, folder: Value, days: Value| {
        let body = json!({ "name": name, "folder": folder, "schedule": days });
        athlete.post(ROUTINES, body).await.expect(201)
    };
    make("A", json!(folder), json!(["monday", "sunday"])).await;
    make("B", Value::Null, json!(["monday"])).await;
    let last = make("C", json!(folder), json!([])).await;
    let at = last.position();
    assert_eq!(names(&athlete, "", at).await, ["C", "B", "A"], "newest first");
    assert_eq!(names(&athlete, &format!("?folder={folder}"), at).await, ["C", "A"]);
    assert_eq!(names(&athlete, "?folder=none", at).await, ["B"]);
    assert_eq!(names(&athlete, "?day=monday", at).await, ["B", "A"]);
    let both = format!("?day=sunday&folder={folder}");
    assert_eq!(names(&athlete, &both, at).await, ["A"]);
    let first = athlete.get(&format!("{ROUTINES}?limit=2")).await.expect(200);
    let cursor = first.meta()["next_cursor"].as_str().unwrap();
    assert_eq!(names(&athlete, &format!("?cursor={cursor}"), at).await, ["A"]);
    let wrong = format!("{ROUTINES}?folder=mine&day=someday&limit=0&page=1");
    let mut fields = athlete.get(&wrong).await.refused(400, "VALIDATION_ERROR");
    fields.body["error"]["details"].as_array_mut().unwrap().sort_by_key(|d| d["field"].to_string());
    assert_eq!(fields.error_fields(), ["day", "folder", "limit", "page"]);

    // Its routines fall out of a folder that is deleted, and nobody else can put theirs into it.
    let theirs = json!({ "name": "D", "folder": folder });
    let other = app.athlete().await;
    let refused = other.post(ROUTINES, theirs).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["folder"]);
    other.patch(&path, named("Mine")).await.refused(404, "NOT_FOUND");
    other.delete(&path).await.refused(404, "NOT_FOUND");
    let deleted = athlete.delete(&path).await.expect(200);
    assert_eq!(athlete.delete(&path).await.expect(200).position(), deleted.position());
    assert_eq!(names(&athlete, "?folder=none", deleted.position()).await, ["C", "B", "A"]);
    let read = athlete.get(last.header("location")).await.expect(200);
    assert_eq!(read.data()["folder"], Value::Null);
    let again = json!({ "name": "E", "folder": folder });
    athlete.post(ROUTINES, again).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_workout_keeps_what_was_planned_when_it_began() {
    let app = app().await;
    let athlete = app.athlete().await;
    let routine = athlete.post(ROUTINES, push()).await.expect(201);
    let path = routine.header("location").to_owned();
    let start = json!({ "routine": id(&routine) });
    let started = athlete.post("/v1/workouts", start.clone()).await.expect(201);
    assert_eq!(started.data()["title"], "Push", "its name");
    assert_eq!(started.data()["routine"], routine.data()["id"]);
    assert_eq!(started.data()["plan"], routine.data()["exercises"]);
    let workout = started.header("location");
    let titled = json!({ "routine": id(&routine), "title": "Today" });
    let titled = athlete.post("/v1/workouts", titled).await.expect(201);
    assert_eq!(titled.data()["title"], "Today");

    // Neither a change nor the end of the routine changes what was planned then.
    athlete.patch(&path, json!({ "name": "Other", "exercises": [] })).await.expect(200);
    let next = athlete.post("/v1/workouts", start.clone()).await.expect(201);
    assert_eq!((&next.data()["title"], &next.data()["plan"]), (&json!("Other"), &json!([])));
    athlete.delete(&path).await.expect(200);
    athlete.log_bench(workout, 8, 100).await;
    athlete.complete(workout, json!({})).await.expect(200);
    let changed = athlete.patch(workout, json!({ "title": "Renamed" })).await.expect(200);
    assert_eq!(changed.data()["plan"], routine.data()["exercises"]);
    let kilos = athlete.get(&format!("{workout}?unit=kg")).await.expect(200);
    assert_eq!(kilos.data()["plan"][0]["sets"][1]["weight"]["value"], 102.06);
    let history = athlete.history("", changed.position()).await;
    let kept = history.list().iter().find(|one| one["id"] == changed.data()["id"]).unwrap();
    assert_eq!(kept, athlete.get(workout).await.data(), "history shows it too");
    let of_plan = athlete.history("exercise=bench&fields=plan,routine", changed.position()).await;
    assert_eq!(of_plan.list()[0]["plan"].as_array().unwrap().len(), 1, "of that exercise alone");

    let gone = json!({ "routine": id(&routine), "started_at": "2099-01-01T00:00:00Z", "mood": 1 });
    let refused = athlete.post("/v1/workouts", gone).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["mood", "routine", "started_at"]);
    let others = app.athlete().await.post("/v1/workouts", start).await;
    assert_eq!(others.refused(400, "VALIDATION_ERROR").error_fields(), ["routine"]);
}

#[tokio::test]
async fn everything_wrong_with_a_routine_is_named_at_once() {
    let app = app().await;
    let athlete = app.athlete().await;
    let sets = |count| vec![json!({ "reps": { "min": 5 } }); count];
    let wrong = json!({
        "name": "A", "notes": "x".repeat(1001), "folder": new_id(), "schedule": ["monday", "someday"],
        "public": "yes", "colour": "red",
        "exercises": [
            { "exercise": "Bench!", "sets": sets(1) },
            { "sets": [{ "reps": 5 }, { "rpe": 11 }, { "reps": { "min": 8, "max": 6 } }] },
            { "exercise": "running", "sets": [{ "weight": { "value": 5, "unit": "kg" } }] },
            { "exercise": "plank", "sets": sets(1), "rest_seconds": -1 },
            { "exercise": "no-such-exercise", "sets": sets(31) },
            { "exercise": "squat-barbell", "sets": [{ "distance_metres": 5 }], "superset_id": 1000 },
        ],
    });
    let expected = [
        "colour",
        "exercises[0].exercise",
        "exercises[1].exercise",
        "exercises[1].sets[0].reps",
        "exercises[1].sets[1].rpe",
        "exercises[2].sets[0].weight",
        "exercises[3].rest_seconds",
        "exercises[3].sets[0].reps",
        "exercises[4].exercise",
        "exercises[4].sets",
        "exercises[5].sets[0].distance_metres",
        "exercises[5].superset_id",
        "folder",
        "notes",
        "public",
        "schedule[1]",
    ];
    let routine = athlete.post(ROUTINES, named("Push")).await.expect(201);
    let created = athlete.post(ROUTINES, wrong.clone()).await;
    let changed = athlete.patch(routine.header("location"), wrong).await;
    for answer in [created, changed] {
        let refused = answer.refused(400, "VALIDATION_ERROR");
        let mut fields = refused.error_fields();
        fields.sort_unstable();
        assert_eq!(fields, expected, "{}", refused.body);
    }
    let alone = json!({ "name": "A", "exercises": [{ "exercise": "squat-barbell",
        "sets": [{ "reps": { "min": 8, "max": 6 } }] }] });
    let refused = athlete.post(ROUTINES, alone).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["exercises[0].sets[0].reps.max"]);
    let unnamed =
        json!({ "name": "", "exercises": [{ "sets": [] }, { "exercise": 1, "sets": [1] }] });
    let refused = athlete.post(ROUTINES, unnamed).await.refused(400, "VALIDATION_ERROR");
    let mut fields = refused.error_fields();
    fields.sort_unstable();
    let expected =
        ["exercises[0].exercise", "exercises[1].exercise", "exercises[1].sets[0]", "name"];
    assert_eq!(fields, expected);
    let nulls = json!({ "name": null, "public": null, "exercises": null });
    let refused = athlete.patch(routine.header("location"), nulls).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["name", "public"]);
    athlete.get("/v1/routines/folder").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_routine_is_made_once_by_id_and_by_key() {
    let app = app().await;
    let athlete = app.athlete().await;
    let body = json!({ "id": new_id(), "name": "Push" });
    let first = athlete.post(ROUTINES, body.clone()).await.expect(201);
    let path = first.header("location").to_owned();
    athlete.patch(&path, named("Pull")).await.expect(200);
    let again = athlete.post(ROUTINES, body.clone()).await.expect(201);
    assert_eq!(again.data(), first.data(), "as it was then");
    let other = json!({ "id": body["id"], "name": "Legs" });
    athlete.post(ROUTINES, other).await.refused(409, "ID_TAKEN");

    let key = "routine-1";
    let first = athlete.keyed(key, Method::POST, ROUTINES, named("Legs")).await.expect(201);
    let again = athlete.keyed(key, Method::POST, ROUTINES, named("Legs")).await.expect(201);
    assert_eq!((again.data(), again.position()), (first.data(), first.position()));
    let reused = athlete.keyed(key, Method::POST, ROUTINES, named("Arms")).await;
    assert_eq!(reused.status, 422, "{}", reused.body);
    assert_eq!(names(&athlete, "", first.position()).await, ["Legs", "Pull"]);
}

#[tokio::test]
async fn others_see_what_is_public_and_nothing_else() {
    let app = app().await;
    let (owner, other) = (app.athlete().await, app.athlete().await);
    let hidden = owner.post(ROUTINES, named("Hidden")).await.expect(201);
    let mut public = push();
    public["public"] = json!(true);
    let shown = owner.post(ROUTINES, public).await.expect(201);
    let path = format!("{}/{}", of(&owner), id(&shown));
    let seen = other.get(&path).await.expect(200);
    assert_eq!(seen.data()["exercises"], shown.data()["exercises"]);
    assert_eq!(seen.data().get("schedule"), None, "when they train is their own affair");
    other.get(shown.header("location")).await.refused(404, "NOT_FOUND");
    let list = other.get_at(&of(&owner), shown.position()).await.expect(200);
    assert_eq!(list.each("name"), ["Push"]);
    let path_of_hidden = format!("{}/{}", of(&owner), id(&hidden));
    let absent = |path: String| {
        let other = other.clone();
        async move {
            other.get(&path).await.refused(404, "NOT_FOUND");
            put(&other, &format!("{path}/like")).await.refused(404, "NOT_FOUND");
            other.post(&format!("{path}/copy"), json!({})).await.refused(404, "NOT_FOUND");
        }
    };
    absent(path_of_hidden.clone()).await;
    absent(format!("{}/{}", of(&owner), new_id())).await;
    absent(format!("/v1/athletes/{}/routines/{}", new_id(), id(&shown))).await;
    owner.get(&path_of_hidden).await.expect(200);
    other.get(&format!("/v1/athletes/{}/routines", new_id())).await.refused(404, "NOT_FOUND");

    // Going private holds at once, for everybody but oneself.
    let private = |is| json!({ "privacy": { "private_profile": is } });
    owner.patch("/v1/athletes/me", private(true)).await.expect(200);
    absent(path.clone()).await;
    other.get(&of(&owner)).await.refused(404, "NOT_FOUND");
    owner.get(&path).await.expect(200);
    assert_eq!(owner.get(&of(&owner)).await.expect(200).each("name"), ["Push"]);
    owner.patch("/v1/athletes/me", private(false)).await.expect(200);
    other.get(&path).await.expect(200);
    owner.delete(shown.header("location")).await.expect(200);
    absent(path).await;
}

#[tokio::test]
async fn likes_are_counted_once_and_taken_back() {
    let app = app().await;
    let (owner, one, two) = (app.athlete().await, app.athlete().await, app.athlete().await);
    let body = json!({ "name": "Push", "public": true });
    let routine = owner.post(ROUTINES, body).await.expect(201);
    let path = format!("{}/{}", of(&owner), id(&routine));
    let like = format!("{path}/like");
    let first = put(&one, &like).await.expect(200);
    assert_eq!(first.data()["liked"], true);
    assert_eq!(put(&one, &like).await.expect(200).position(), first.position(), "once");
    put(&two, &like).await.expect(200);
    assert_eq!(one.get(&path).await.expect(200).data()["liked"], true);
    assert_eq!(owner.get(&path).await.expect(200).data()["liked"], false);
    let counts = async |many: i64| {
        eventually("the count", async || {
            let list = owner.get(ROUTINES).await.expect(200);
            (list.list().first()?["likes"] == many).then_some(())
        })
        .await;
        eventually("the count for everybody", async || {
            let public = one.get(&of(&owner)).await.expect(200);
            (public.list().first()?["likes"] == many).then_some(())
        })
        .await;
    };
    counts(2).await;
    let liked = one.get_at("/v1/routines/liked", first.position()).await.expect(200);
    assert_eq!(liked.each("id"), [&routine.data()["id"]]);
    assert_eq!(liked.each("name"), ["Push"]);

    // What is hidden is liked on, and not shown; unliked, it is not liked when it comes back.
    let location = routine.header("location");
    let hidden = owner.patch(location, json!({ "public": false })).await.expect(200);
    let liked = async |client: &Client, position: &str| {
        client.get_at("/v1/routines/liked", position).await.expect(200).list().len()
    };
    eventually("nothing liked is seen", async || {
        (liked(&one, hidden.position()).await == 0).then_some(())
    })
    .await;
    let unliked = one.delete(&like).await.expect(200);
    assert_eq!(unliked.data()["liked"], false);
    assert_eq!(one.delete(&like).await.expect(200).position(), unliked.position());
    owner.patch(location, json!({ "public": true })).await.expect(200);
    counts(1).await;
    assert_eq!(liked(&one, unliked.position()).await, 0);
    assert_eq!(liked(&two, unliked.position()).await, 1);
}

#[tokio::test]
async fn a_copy_is_the_copiers_own_with_the_exercises_it_needs() {
    let app = app().await;
    let (owner, copier) = (app.pro_athlete().await, app.athlete().await);
    let machine = json!({
        "name": "My machine", "equipment": "machine", "primary_muscles": ["chest"],
        "kind": "weight_reps",
    });
    let machine = owner.post("/v1/exercises", machine).await.expect(201);
    let mut body = push();
    body["public"] = json!(true);
    body["exercises"][1] = json!({ "exercise": id(&machine), "sets": [{ "reps": { "min": 5 } }] });
    let routine = owner.post(ROUTINES, body).await.expect(201);
    let path = format!("{}/{}", of(&owner), id(&routine));
    assert_eq!(
        copier.get(&path).await.expect(200).data()["exercises"][1]["exercise"]["name"],
        "My machine"
    );

    let wish = json!({ "id": new_id() });
    let copied = copier.post(&format!("{path}/copy"), wish.clone()).await.expect(201);
    let copy = copied.data();
    assert_eq!(copy["id"], wish["id"]);
    assert_eq!(
        copy["copied_from"],
        json!({ "owner": owner.athlete.unwrap(), "routine": id(&routine) })
    );
    assert_eq!((&copy["name"], &copy["notes"]), (&json!("Push"), &json!("slowly")));
    assert_eq!((&copy["public"], &copy["schedule"]), (&json!(false), &json!([])));
    assert_eq!(copy["exercises"][0], routine.data()["exercises"][0]);
    let exercise = &copy["exercises"][1]["exercise"];
    assert_eq!(exercise["name"], "My machine");
    assert_ne!(&exercise["id"], &machine.data()["id"], "their own");
    let own = copier.get(&format!("/v1/exercises/{}", exercise["id"].as_str().unwrap())).await;
    assert_eq!(own.expect(200).data()["kind"], "weight_reps");
    let workout = json!({ "routine": id(&copied) });
    let workout = copier.post("/v1/workouts", workout).await.expect(201);
    assert_eq!(workout.data()["plan"][1]["exercise"]["name"], "My machine");

    // Under a key the answer is made before the exercise is, and is the same.
    let keyed = app.athlete().await;
    let copying =
        async || keyed.keyed("copy", Method::POST, &format!("{path}/copy"), json!({})).await;
    let (first, again) = (copying().await.expect(201), copying().await.expect(201));
    assert_eq!((first.data(), first.position()), (again.data(), again.position()));
    assert_eq!(again.data()["exercises"][1]["exercise"]["name"], "My machine");

    // Copied again it is another one, of the same exercise; the same copy twice is one.
    let second = copier.post(&format!("{path}/copy"), json!({})).await.expect(201);
    assert_eq!(&second.data()["exercises"][1]["exercise"], exercise);
    owner.delete(routine.header("location")).await.expect(200);
    let again = copier.post(&format!("{path}/copy"), wish).await.expect(201);
    assert_eq!((again.data(), again.position()), (copy, copied.position()));
    copier.post(&format!("{path}/copy"), json!({})).await.refused(404, "NOT_FOUND");
    assert_eq!(copier.get(copied.header("location")).await.expect(200).data(), copy);
    assert_eq!(names(&copier, "", second.position()).await, ["Push", "Push"]);
}

#[tokio::test]
async fn a_coach_plans_for_a_client() {
    let app = App::start(crate::binary()).await;
    let (coach, client) = (app.athlete().await, app.athlete().await);
    let coach = app.grant(&coach, &["--role", "coach"]).await;
    let ask = json!({ "athlete": client.athlete.unwrap() });
    let asked = coach.post("/v1/coaching/clients", ask).await.expect(201);
    let accept = format!("/v1/coaching/coaches/{}/accept", coach.athlete.unwrap());
    let invitation = json!({ "invitation": asked.data()["invitation"] });
    client.post(&accept, invitation).await.expect(200);

    let acting = coach.acting_for(&client);
    let routine = acting.post(ROUTINES, push()).await.expect(201);
    let path = routine.header("location");
    assert_eq!(client.get(path).await.expect(200).data(), routine.data());
    coach.get(path).await.refused(404, "NOT_FOUND");
    let changed = acting.patch(path, named("Push A")).await.expect(200);
    assert_eq!(names(&client, "", changed.position()).await, ["Push A"]);
    assert_eq!(names(&acting, "", changed.position()).await, ["Push A"]);
    let workout = client.post("/v1/workouts", json!({ "routine": id(&routine) })).await;
    assert_eq!(workout.expect(201).data()["title"], "Push A");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_has_more_than_so_many() {
    let app = app().await;
    let athlete = app.athlete().await;
    for number in 0..50 {
        athlete.post(FOLDERS, named(&number.to_string())).await.expect(201);
    }
    athlete.post(FOLDERS, named("one more")).await.refused(409, "TOO_MANY_FOLDERS");
    let mut last = String::new();
    for number in 0..200 {
        let made = athlete.post(ROUTINES, named(&number.to_string())).await.expect(201);
        made.position().clone_into(&mut last);
    }
    // The count is the read model's.
    athlete.get_at(ROUTINES, &last).await.expect(200);
    athlete.post(ROUTINES, named("one more")).await.refused(409, "TOO_MANY_ROUTINES");
}
