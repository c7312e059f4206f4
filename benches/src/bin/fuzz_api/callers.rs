//! Who sends requests: accounts that were made just now, each with something of everything.

use serde_json::{Value, json};
use testkit::{App, BYPASS_KEY, Client, PASSWORD, bench, eventually, new_id};

/// What notices of the billing service are signed with.
pub(crate) const BILLING_KEY: &str = "what the billing service of this run signs with";

/// What ends sessions or changes what its caller may do: each request of these has a session of its own.
const ENDING: [&str; 9] = [
    "admin_end_sessions",
    "admin_grant_role",
    "admin_grant_tier",
    "auth_change_password",
    "auth_logout",
    "billing_notice",
    "keys_delete",
    "sessions_end",
    "sessions_end_all",
];

/// How requests are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phases {
    /// Each stands alone.
    Alone,
    /// Each goes on with what those before it made.
    Chained,
}

/// Somebody who sends requests.
pub(crate) struct Caller {
    /// What the run is called by.
    pub(crate) name: &'static str,
    /// Where the product is.
    pub(crate) url: String,
    /// How the requests are made.
    pub(crate) phases: Phases,
    client: Client,
    /// Of a coach: for whom they act.
    acts_for: Option<String>,
    /// Ids of what the caller has, and of another's that is public.
    there: Value,
    /// The admin of requests that have a session of their own.
    admin: Option<String>,
}

impl Caller {
    /// Whether an operation is this caller's to try.
    pub(crate) fn calls(&self, operation: &str) -> bool {
        ENDING.contains(&operation) == self.admin.is_some()
    }

    /// What every request says, with a token that is made now, as it is good for a while only.
    pub(crate) async fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("X-Internal-Bypass", BYPASS_KEY.to_owned())];
        if self.client.token.is_some() {
            let token = self.client.signed_in_again().await.token.unwrap_or_default();
            headers.push(("Authorization", format!("Bearer {token}")));
        }
        headers.extend(self.acts_for.iter().map(|client| ("X-Acting-For", client.clone())));
        headers
    }

    /// What the hooks of schemathesis are told.
    pub(crate) fn to_json(&self) -> Value {
        let throwaway = self.admin.as_ref().map(|admin| {
            json!({
                "admin": admin,
                "password": PASSWORD,
                "bypass_key": BYPASS_KEY,
                "billing_key": BILLING_KEY,
            })
        });
        json!({
            "url": self.url,
            "acts": self.acts_for.is_some(),
            "there": self.there,
            "throwaway": throwaway,
        })
    }
}

/// All of them.
pub(crate) async fn all(app: &App) -> Vec<Caller> {
    let (other, athlete, chained) =
        (app.athlete().await, app.pro_athlete().await, app.pro_athlete().await);
    let scapegoat = app.athlete().await;
    let coach = app.grant(&app.athlete().await, &["--role", "coach"]).await;
    let client = app.pro_athlete().await;
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let throwaway = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    coached(&coach, &client).await;

    let theirs = things(&other).await;
    let public = json!({
        "other": other.athlete,
        "other_name": theirs["username"],
        "public_routine": theirs["routine"],
        "public_post": theirs["post"],
        "public_comment": theirs["comment"],
        // Whom one may block and hide, and the others still have somebody to see.
        "scapegoat": scapegoat.athlete,
        "scapegoat_post": things(&scapegoat).await["post"],
    });
    let with_public = |mut own: Value| {
        for (name, id) in public.as_object().into_iter().flatten() {
            own[name] = id.clone();
        }
        own
    };
    let caller = |name, client: &Client, there| Caller {
        name,
        url: app.url().to_owned(),
        phases: Phases::Alone,
        client: client.clone(),
        acts_for: None,
        there: with_public(there),
        admin: None,
    };
    let acts_for = client.athlete.map(|id| id.to_string());
    vec![
        caller("admin", &admin, things(&admin).await),
        caller("athlete", &athlete, things(&athlete).await),
        Caller { acts_for, ..caller("coach", &coach, things(&client).await) },
        caller("nobody", &app.client(), json!({})),
        Caller { phases: Phases::Chained, ..caller("chained", &chained, things(&chained).await) },
        Caller { admin: throwaway.email, ..caller("throwaway", &app.client(), json!({})) },
    ]
}

/// Makes one of them the coach of the other.
async fn coached(coach: &Client, client: &Client) {
    let asked = coach.post("/v1/coaching/clients", json!({ "athlete": client.athlete })).await;
    let accepted = json!({ "invitation": asked.expect(201).data()["invitation"] });
    let coach = coach.athlete.map(|id| id.to_string()).unwrap_or_default();
    client.post(&format!("/v1/coaching/coaches/{coach}/accept"), accepted).await.expect(200);
}

/// Two workouts that are over and one that goes on, a routine in public, a folder and a weighing, a post
/// and a comment on it.
async fn things(athlete: &Client) -> Value {
    let username = format!("fuzz.{}", &new_id().simple().to_string()[20..]);
    let profile = json!({ "sex": "female", "username": username });
    athlete.patch("/v1/athletes/me", profile).await.expect(200);
    let post = json!({ "text": "Hello", "visibility": "public" });
    let post = athlete.post("/v1/posts", post).await.expect(201);
    let comment = json!({ "text": "Myself" });
    let comment = athlete.post(&format!("{}/comments", post.header("location")), comment).await;
    let comment = comment.expect(201);
    let weighed = json!({ "bodyweight": { "value": 63.5, "unit": "kg" } });
    let weighed = athlete.post("/v1/athletes/me/measurements", weighed).await.expect(201);
    for kg in [95, 100] {
        let workout = athlete.start_workout(json!({ "title": "Push" })).await;
        athlete.log_bench(&workout, 5, kg).await;
        athlete.complete(&workout, json!({})).await.expect(200);
    }
    let workout = athlete.post("/v1/workouts", json!({ "title": "Legs" })).await.expect(201);
    let path = workout.header("location");
    let mut squat = bench(5, 140);
    squat["exercise"] = json!("squat-barbell");
    let set = athlete.log_set(path, squat).await.expect(201);
    let folder = json!({ "name": "Winter" });
    let folder = athlete.post("/v1/routines/folders", folder).await.expect(201);
    let planned = json!({ "exercise": "squat-barbell", "sets": [{ "reps": { "min": 5 } }] });
    let routine = json!({ "name": "Legs", "public": true, "exercises": [planned] });
    let routine = athlete.post("/v1/routines", routine).await.expect(201);
    eventually("a model with the routine", async || {
        let shown = athlete.get_at("/v1/routines", routine.position()).await;
        (shown.status == 200).then_some(())
    })
    .await;
    json!({
        "workout": workout.data()["id"],
        "set": set.data()["set"]["id"],
        "folder": folder.data()["id"],
        "routine": routine.data()["id"],
        "measurement": weighed.data()["id"],
        "username": username,
        "post": post.data()["id"],
        "comment": comment.data()["id"],
    })
}
