//! The table of `docs/social.md`, held against every route that shows something of others: every kind of
//! profile and reader, everything that can be seen.
#![expect(clippy::panic, reason = "a table that cannot be read, or an answer that nobody expects")]

use serde_json::{Value, json};
use testkit::{Answer, App, Client, Method, Watching, bench, eventually};

use crate::{
    announcements::so_many,
    binary,
    social::{self, id, named, of, publish, put, set_private},
};

/// A row of the table.
struct Row {
    profile: String,
    reader: String,
    /// The name, then what is public, for followers and private.
    sees: [bool; 4],
}

fn table() -> Vec<Row> {
    const PAGE: &str = include_str!("../../docs/social.md");
    let rows = PAGE.lines().filter(|line| {
        ["| public |", "| private |", "| suspended |"].iter().any(|start| line.starts_with(start))
    });
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let sees = [3, 4, 5, 6].map(|cell| match cells[cell] {
            "yes" => true,
            "no" => false,
            other => panic!("{other}"),
        });
        Row { profile: cells[1].to_owned(), reader: cells[2].to_owned(), sees }
    });
    rows.collect()
}

const VISIBILITIES: [&str; 3] = ["public", "followers", "private"];

/// What an athlete shows with one visibility.
struct Shown {
    text: String,
    workout: String,
    shared: Option<String>,
    /// The records that the workout broke.
    records: Option<String>,
    comment: String,
}

/// An athlete who shows something of everything.
struct Author {
    client: Client,
    username: String,
    shown: Vec<Shown>,
    routine: String,
    position: String,
}

impl Author {
    async fn new(app: &App) -> Self {
        let (client, username, _) = named(app, "author").await;
        let mut shown = Vec::new();
        // The first of all breaks no records.
        let first = client.start_workout(json!({ "visibility": "private" })).await;
        client.log_set(&first, bench(5, 50)).await.expect(201);
        client.complete(&first, json!({})).await.expect(200);
        so_many(app, &client, 1).await;
        for (visibility, kg) in VISIBILITIES.into_iter().zip([60, 80, 100]) {
            let text = publish(&client, "Hello", visibility).await;
            let start = json!({ "title": "Push", "visibility": visibility });
            let workout = client.start_workout(start).await;
            client.log_set(&workout, bench(5, kg)).await.expect(201);
            client.complete(&workout, json!({})).await.expect(200);
            so_many(app, &client, 2 + shown.len()).await;
            let shared = client.post(&format!("{workout}/share"), json!({})).await;
            let shared = (visibility != "private").then(|| id(&shared.expect(200)).to_owned());
            let records = shared.as_ref().map(|workout| workout.replacen('w', "r", 1));
            if let Some(records) = &records {
                eventually("the post of the records", async || {
                    let post = client.get(&format!("/v1/posts/{records}")).await;
                    (post.status == 200).then_some(())
                })
                .await;
            }
            let comments = format!("/v1/posts/{}/comments", id(&text));
            let comment = client.post(&comments, json!({ "text": "First" })).await.expect(201);
            shown.push(Shown {
                text: id(&text).to_owned(),
                workout: workout.rsplit('/').next().unwrap().to_owned(),
                shared,
                records,
                comment: id(&comment).to_owned(),
            });
        }
        let routine = json!({ "name": "Plan", "public": true });
        let routine = client.post("/v1/routines", routine).await.expect(201);
        let position = routine.position().to_owned();
        Self { client, username, shown, routine: id(&routine).to_owned(), position }
    }
}

/// Makes a reader what the table says of them, and the author's profile what it says of that.
async fn relate(app: &App, author: &Author, row: &Row) -> (Client, String) {
    let reader = match row.reader.as_str() {
        "the athlete" => author.client.clone(),
        _ => app.athlete().await,
    };
    // While everybody could.
    let routine = format!("{}/{}", of(&author.client, "routines"), author.routine);
    let liked = put(&reader, &format!("{routine}/like")).await.expect(200);
    reader.get_at("/v1/routines/liked", liked.position()).await.expect(200);
    let follow = of(&author.client, "follow");
    match row.reader.as_str() {
        "who follows" | "who followed" => social::follow(&reader, &author.client).await,
        "who is blocked" => {
            put(&author.client, &of(&reader, "block")).await.expect(200);
        }
        "who blocks" => {
            put(&reader, &of(&author.client, "block")).await.expect(200);
        }
        "the athlete" | "anybody else" | "who asked to follow" => {}
        other => panic!("{other}"),
    }
    let last = match row.profile.as_str() {
        "public" => set_private(&author.client, false).await,
        "private" => set_private(&author.client, true).await,
        "suspended" => {
            let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
            let path =
                of(&author.client, "suspension").replace("/v1/athletes", "/v1/admin/accounts");
            Answer::to(admin.request(Method::PUT, &path).json(&json!({}))).await.expect(200)
        }
        other => panic!("{other}"),
    };
    if row.reader == "who asked to follow" {
        let asked = put(&reader, &follow).await.expect(200);
        assert_eq!(asked.data()["following"], "requested");
    }
    (reader, last.position().to_owned())
}

/// Whether a route shows something: 404 says that it does not.
async fn shows(answer: Answer) -> bool {
    match answer.status {
        200..=202 => true,
        404 => false,
        other => panic!("{other}: {}", answer.body),
    }
}

/// Whether an id is in a list, which is there or not.
fn lists(answer: &Answer, id: &str) -> bool {
    answer.status == 200 && answer.each("id").iter().any(|there| **there == *id)
}

#[tokio::test]
async fn every_route_shows_what_the_table_says_to_whom_it_says() {
    let app = App::start(binary()).await;
    let rows = table();
    assert_eq!(rows.len(), 13);
    let mut authors = 0;
    for row in rows {
        let author = Author::new(&app).await;
        let (reader, position) = relate(&app, &author, &row).await;
        let said = format!("{} × {}", row.profile, row.reader);
        for position in [&author.position, &position] {
            reader.get_at("/v1/feed", position).await.expect(200);
        }
        let [knows, public, ..] = row.sees;

        // The name.
        let profile = reader.get(&format!("/v1/users/{}", author.username)).await;
        assert_eq!(shows(profile.clone()).await, knows, "{said}: profile");
        let found = reader.get(&format!("/v1/users?q={}", author.username)).await.expect(200);
        let athlete = author.client.athlete.unwrap().to_string();
        assert_eq!(lists(&found, &athlete), knows || row.reader == "the athlete", "{said}: search");
        if knows {
            assert_eq!(profile.data()["records"].is_array(), public, "{said}: figures");
        }
        for list in ["followers", "following", "posts", "routines"] {
            let list = reader.get(&of(&author.client, list)).await;
            assert_eq!(shows(list).await, public, "{said}: lists");
        }
        // A place is everybody's, and the name of who shows something to everybody.
        authors += 1;
        let board = "bench-press-barbell";
        let path = format!("/v1/leaderboards/{board}?limit=100");
        let shown = reader.get_at(&path, &author.position).await.expect(200);
        let is_named = |entry: &&Value| entry["athlete"]["id"] == athlete.as_str();
        let top = shown.data()["top"].as_array().unwrap();
        assert_eq!(top.len(), authors, "{said}: places");
        assert_eq!(top.iter().find(is_named).is_some(), public, "{said}: leaderboard");
        let mut live = Watching::of(&reader, &format!("{board}/live"), None).await.ok().unwrap();
        while live.shown.len() < authors {
            live.next().await.unwrap();
        }
        assert_eq!(live.shown.iter().find(is_named).is_some(), public, "{said}: live");
        let routine = format!("{}/{}", of(&author.client, "routines"), author.routine);
        assert_eq!(shows(reader.get(&routine).await).await, public, "{said}: routine");
        let liked = reader.get("/v1/routines/liked").await.expect(200);
        assert_eq!(lists(&liked, &author.routine), public, "{said}: liked");
        // Nobody learns whether somebody is there at all by what they cannot do.
        let blocks = row.reader == "who blocks";
        if row.reader != "the athlete" {
            let relation = reader.get(&of(&author.client, "relation")).await;
            assert_eq!(shows(relation).await, knows || blocks, "{said}: relation");
            let nobody = format!("/v1/athletes/{}/follow", testkit::new_id());
            for (path, is_told) in
                [(of(&author.client, "follow"), knows || blocks), (nobody, false)]
            {
                if !is_told {
                    reader.delete(&path).await.refused(404, "NOT_FOUND");
                    let block = path.replace("/follow", "/block");
                    put(&reader, &block).await.refused(404, "NOT_FOUND");
                }
            }
        }

        let (feed, posts) = (
            reader.get("/v1/feed?limit=100").await.expect(200),
            reader.get(&format!("{}?limit=100", of(&author.client, "posts"))).await,
        );
        let follows = row.reader == "who follows";
        for ((shown, visibility), sees) in
            author.shown.iter().zip(VISIBILITIES).zip(row.sees.into_iter().skip(1))
        {
            let said = format!("{said}: {visibility}");
            let posts_of = [Some(&shown.text), shown.shared.as_ref(), shown.records.as_ref()];
            for post in posts_of.into_iter().flatten() {
                let path = format!("/v1/posts/{post}");
                assert_eq!(shows(reader.get(&path).await).await, sees, "{said}: post");
                assert_eq!(lists(&feed, post), sees && follows, "{said}: feed");
                assert_eq!(lists(&posts, post), sees, "{said}: posts");
                for list in ["comments", "likes"] {
                    let list = reader.get(&format!("{path}/{list}")).await;
                    assert_eq!(shows(list).await, sees, "{said}: {path}");
                }
                if row.profile == "suspended" && row.reader == "the athlete" {
                    continue;
                }
                let liked = put(&reader, &format!("{path}/like")).await;
                assert_eq!(shows(liked).await, sees, "{said}: like");
                let body = json!({ "text": "Hi" });
                let comment = reader.post(&format!("{path}/comments"), body).await;
                assert_eq!(shows(comment).await, sees, "{said}: comment");
                let report = json!({ "content": post, "reason": "other" });
                let told = reader.post("/v1/reports", report).await;
                assert_eq!(shows(told).await, sees, "{said}: report");
            }
            let comment = format!("/v1/comments/{}", shown.comment);
            let likes = reader.get(&format!("{comment}/likes")).await;
            assert_eq!(shows(likes).await, sees, "{said}: likes of a comment");
            let workout = format!("{}/{}", of(&author.client, "workouts"), shown.workout);
            let workout = reader.get(&workout).await;
            assert_eq!(shows(workout.clone()).await, sees, "{said}: workout");
            if sees {
                assert_eq!(workout.data()["feeling"], Value::Null);
            }
            // Of others, an id alone names nothing.
            if row.reader != "the athlete" {
                for route in ["workouts", "audit/workouts"] {
                    let path = format!("/v1/{route}/{}", shown.workout);
                    reader.get(&path).await.refused(404, "NOT_FOUND");
                }
            }
        }
    }
    assert_eq!(app.errors(), Vec::<String>::new());
}
