//! The table of permissions, held against the running server: every route, every kind of caller.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, App, Client, PASSWORD, new_id};

use crate::binary;

/// A row of the table, as `ironledger permissions` prints it.
struct Rule {
    method: Method,
    path: String,
    who: String,
    scope: String,
    for_clients: bool,
    pro: bool,
    probe: bool,
}

async fn table(app: &App) -> Vec<Rule> {
    let (status, page) = app.run(&["permissions"]).await;
    assert!(status.success(), "{page}");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rules = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (method, path) = cells[1].trim_matches('`').split_once(' ').unwrap();
        Rule {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            who: cells[2].to_owned(),
            scope: cells[3].to_owned(),
            for_clients: cells[4] == "yes",
            pro: cells[5] == "yes",
            probe: cells[6] == "none",
        }
    });
    rules.collect()
}

/// What the door says to somebody.
#[derive(Debug, PartialEq)]
enum Says {
    /// The route answers, whatever that is.
    In,
    Refuses(&'static str),
}

/// A kind of caller, and what the table says of them.
struct Kind {
    name: &'static str,
    client: Client,
    role: &'static str,
    pro: bool,
    /// Whose tier counts where the caller acts.
    client_pro: bool,
    /// What an API key is for.
    scopes: Option<&'static [&'static str]>,
    /// Whether they name somebody in `X-Acting-For`, and that is a client of theirs.
    acts: Option<bool>,
}

impl Kind {
    fn expected(&self, rule: &Rule) -> Says {
        if rule.probe {
            return Says::In;
        }
        let everybody = rule.who.starts_with("everybody");
        match self.name {
            "anonymous" if everybody => return Says::In,
            "anonymous" => return Says::Refuses("TOKEN_MISSING"),
            "revoked session" if rule.who == "everybody" => return Says::In,
            "revoked session" => return Says::Refuses("TOKEN_REVOKED"),
            _ => {}
        }
        if let Some(scopes) = self.scopes {
            if everybody {
                return Says::In;
            }
            if rule.scope == "no" {
                return Says::Refuses("KEY_REFUSED");
            }
            if !scopes.contains(&rule.scope.as_str()) {
                return Says::Refuses("SCOPE_MISSING");
            }
        }
        if (rule.who == "coaches" && self.role != "coach")
            || (rule.who == "admins" && self.role != "admin")
        {
            return Says::Refuses("FORBIDDEN");
        }
        if let Some(is_client) = self.acts {
            if !rule.for_clients {
                return Says::Refuses("NOT_FOR_CLIENTS");
            }
            if self.scopes.is_some_and(|scopes| !scopes.contains(&"coaching")) {
                return Says::Refuses("SCOPE_MISSING");
            }
            if !is_client {
                return Says::Refuses("NOT_A_CLIENT");
            }
        }
        let pro = if self.acts == Some(true) { self.client_pro } else { self.pro };
        if rule.pro && !pro { Says::Refuses("PRO_REQUIRED") } else { Says::In }
    }
}

/// What only the door says.
const OF_THE_DOOR: [&str; 8] = [
    "TOKEN_REVOKED",
    "KEY_REFUSED",
    "SCOPE_MISSING",
    "FORBIDDEN",
    "NOT_FOR_CLIENTS",
    "NOT_A_CLIENT",
    "PRO_REQUIRED",
    "KEY_INVALID",
];

fn says(rule: &Rule, answer: &Answer) -> Says {
    let code = answer.error_code();
    if let Some(code) = OF_THE_DOOR.into_iter().find(|known| *known == code) {
        return Says::Refuses(code);
    }
    // A route that is open to everybody may itself want a token of another kind.
    if !rule.who.starts_with("everybody") && code == "TOKEN_MISSING" {
        return Says::Refuses("TOKEN_MISSING");
    }
    let refused = [401, 403].contains(&answer.status) && !rule.who.starts_with("everybody");
    assert!(!refused && answer.status < 500, "{answer:?}");
    Says::In
}

async fn send(client: &Client, rule: &Rule) -> Answer {
    let path = rule
        .path
        .replace("{id}", &new_id().to_string())
        .replace("{set}", &new_id().to_string())
        .replace("{athlete}", &new_id().to_string())
        .replace("{routine}", &new_id().to_string())
        .replace("{folder}", &new_id().to_string())
        .replace("{exercise}", "plank")
        .replace("{board}", "dots")
        .replace("{issuer}", "nobody");
    let request = client.request(rule.method.clone(), &path);
    let bodyless = [Method::GET, Method::DELETE].contains(&rule.method);
    Answer::to(if bodyless { request } else { request.json(&json!({})) }).await
}

/// The same caller in a session of its own, where the route may end it.
async fn in_a_session(kind: &Kind, rule: &Rule) -> Client {
    let may_end = rule.path.starts_with("/v1/auth/") && rule.method != Method::GET;
    if !may_end
        || kind.scopes.is_some()
        || kind.client.email.is_none()
        || kind.name == "revoked session"
    {
        return kind.client.clone();
    }
    let body = json!({ "email": kind.client.email, "password": PASSWORD });
    let login = kind.client.anonymously().post("/v1/auth/login", body).await.expect(200);
    kind.client.with_tokens(login.data())
}

async fn key(athlete: &Client, scopes: &[&str]) -> Client {
    let body = json!({ "name": "a key", "scopes": scopes });
    let made = athlete.post("/v1/auth/keys", body).await.expect(201);
    athlete.with_token(made.data()["secret"].as_str().unwrap())
}

/// Makes one the client of the other.
async fn joined(coach: &Client, client: &Client) {
    let ask = json!({ "athlete": client.athlete });
    let asked = coach.post("/v1/coaching/clients", ask).await.expect(201);
    let body = json!({ "invitation": asked.data()["invitation"] });
    let path = format!("/v1/coaching/coaches/{}/accept", coach.athlete.unwrap());
    client.post(&path, body).await.expect(200);
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mail = [("IRONLEDGER_MAIL_FOLDER", folder.path().to_str().unwrap())];
    let app = App::start_with(binary(), &mail).await;
    let mut rules = table(&app).await;
    // What ends all sessions of whom it lets in comes last.
    rules.sort_by_key(|rule| rule.method == Method::DELETE && rule.path == "/v1/auth/sessions");
    assert!(rules.len() > 60, "{}", rules.len());
    let coach = async || app.grant(&app.athlete().await, &["--role", "coach"]).await;
    let (athlete, other) = (app.athlete().await, app.athlete().await);
    let (of_athlete, former, of_other) = (coach().await, coach().await, coach().await);
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    joined(&of_athlete, &athlete).await;
    joined(&of_other, &other).await;
    joined(&former, &athlete).await;
    let end = format!("/v1/coaching/coaches/{}", former.athlete.unwrap());
    athlete.delete(&end).await.expect(200);
    let revoked = app.athlete().await;
    revoked.post("/v1/auth/logout", json!({})).await.expect(200);

    const NONE: &[&str] = &["coaching"];
    const READS: &[&str] = &["training:read"];
    const ALL: &[&str] =
        &["training:read", "training:write", "profile:read", "profile:write", "coaching"];
    let kind = |name, client: &Client, role| Kind {
        name,
        client: client.clone(),
        role,
        pro: false,
        client_pro: false,
        scopes: None,
        acts: None,
    };
    let acting = |name, client: &Client, role, is_client| Kind {
        acts: Some(is_client),
        ..kind(name, &client.acting_for(&athlete), role)
    };
    let kinds = [
        kind("anonymous", &app.client(), ""),
        kind("free", &athlete, "athlete"),
        Kind { pro: true, ..kind("pro", &app.pro_athlete().await, "athlete") },
        acting("coach of the athlete", &of_athlete, "coach", true),
        acting("former coach", &former, "coach", false),
        acting("coach of another", &of_other, "coach", false),
        kind("coach", &of_athlete, "coach"),
        kind("admin", &admin, "admin"),
        acting("admin who acts", &admin, "admin", false),
        acting("other athlete", &other, "athlete", false),
        Kind {
            scopes: Some(NONE),
            ..kind("key without scope", &key(&athlete, NONE).await, "athlete")
        },
        Kind {
            scopes: Some(READS),
            ..kind("key that reads", &key(&athlete, READS).await, "athlete")
        },
        Kind { scopes: Some(ALL), ..kind("key for all", &key(&athlete, ALL).await, "athlete") },
        Kind {
            scopes: Some(ALL),
            ..acting("key of the coach", &key(&of_athlete, ALL).await, "coach", true)
        },
        Kind {
            scopes: Some(READS),
            ..acting("key of the coach, not for it", &key(&of_athlete, READS).await, "coach", true)
        },
        // Who runs the place does so themselves.
        Kind { scopes: Some(ALL), ..kind("key of an admin", &key(&admin, ALL).await, "athlete") },
        kind("revoked session", &revoked, "athlete"),
    ];
    let (mut wrong, mut let_in, mut kept_out) = (Vec::new(), 0, 0);
    for rule in &rules {
        for kind in &kinds {
            let client = in_a_session(kind, rule).await;
            let answer = send(&client, rule).await;
            let (found, expected) = (says(rule, &answer), kind.expected(rule));
            match &expected {
                Says::In => let_in += 1,
                Says::Refuses(_) => kept_out += 1,
            }
            if found != expected {
                wrong.push(format!(
                    "{} {} for {}: {found:?}, not {expected:?}: {} {}",
                    rule.method, rule.path, kind.name, answer.status, answer.body
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(let_in > 300 && kept_out > 300, "{let_in} let in, {kept_out} kept out");
    // What was let in for the athlete did nothing to others.
    assert_eq!(other.get("/v1/workouts").await.expect(200).list(), Vec::<Value>::new());
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn an_admin_grants_and_ends_and_their_keys_are_an_athletes() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let account = format!("/v1/admin/accounts/{}", athlete.athlete.unwrap());
    let put = async |what: &str, body: Value| {
        let path = format!("{account}/{what}");
        Answer::to(admin.request(Method::PUT, &path).json(&body)).await
    };
    let is = async || {
        let data = athlete.signed_in_again().await.get("/v1/auth/account").await.expect(200);
        (data.data()["role"].clone(), data.data()["tier"].clone())
    };
    put("role", json!({ "role": "coach" })).await.expect(200);
    put("tier", json!({ "tier": "pro", "until": "2100-01-01T00:00:00Z" })).await.expect(200);
    assert_eq!(is().await, (json!("coach"), json!("pro")));
    for wrong in [
        json!({ "tier": "pro", "until": "2020-01-01T00:00:00Z" }),
        json!({ "tier": "free", "until": "2100-01-01T00:00:00Z" }),
    ] {
        let refused = put("tier", wrong).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["until"]);
    }
    put("tier", json!({ "tier": "free" })).await.expect(200);
    put("role", json!({ "role": "athlete" })).await.expect(200);
    assert_eq!(is().await, (json!("athlete"), json!("free")));
    let bad = put("tier", json!({ "tier": "gold", "until": "soon", "role": "admin" })).await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["role", "tier", "until"]);
    let nobody = format!("/v1/admin/accounts/{}/role", new_id());
    let nobody = admin.request(Method::PUT, &nobody).json(&json!({ "role": "coach" }));
    Answer::to(nobody).await.refused(404, "NOT_FOUND");

    // Signed in with a tier that ends soon, an app knows when to refresh.
    let soon = log::Clock::system().now().shifted(chrono::TimeDelta::seconds(60)).unwrap();
    put("tier", json!({ "tier": "pro", "until": soon })).await.expect(200);
    let login = json!({ "email": athlete.email, "password": PASSWORD });
    let login = app.client().post("/v1/auth/login", login).await.expect(200);
    assert!((50..=60).contains(&login.data()["expires_in"].as_i64().unwrap()), "{login:?}");
    let acted = athlete.signed_in_again().await.get("/v1/athletes/me/access?limit=100").await;
    let acted = acted.expect(200);
    let acted = acted.list().iter().filter(|entry| entry["what"] == "admin_acted").count();
    assert_eq!(acted, 5, "each grant is seen");
    admin.get("/v1/admin/accounts").await.refused(400, "VALIDATION_ERROR");

    let session = athlete.signed_in_again().await;
    admin.delete(&format!("{account}/sessions")).await.expect(200);
    session.get("/v1/history").await.refused(401, "TOKEN_REVOKED");

    // A key of an admin opens no audit of another's.
    let athlete = athlete.signed_in_again().await;
    let workout = athlete.start_workout(json!({})).await;
    let audit = format!(
        "/v1/audit/workouts/{}?athlete={}",
        workout.rsplit('/').next().unwrap(),
        athlete.athlete.unwrap()
    );
    admin.get(&audit).await.expect(200);
    key(&admin, &["training:read"]).await.get(&audit).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_path_takes_the_methods_of_the_table_alone() {
    let app = crate::app().await;
    let athlete = app.athlete().await;
    for (method, path, allowed) in [
        (Method::PUT, "/v1/workouts", "GET,POST"),
        (Method::DELETE, "/v1/history", "GET"),
        (Method::POST, "/v1/log", "GET"),
        (Method::from_bytes(b"PROPFIND").unwrap(), "/v1/auth/login", "POST"),
    ] {
        let answer = Answer::to(athlete.request(method, path)).await;
        let answer = answer.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), allowed);
    }
    let head = athlete.request(Method::HEAD, "/v1/history").send().await.unwrap();
    assert_eq!(head.status(), 200);
    let head = app.client().request(Method::HEAD, "/v1/history").send().await.unwrap();
    assert_eq!(head.status(), 401);
}
