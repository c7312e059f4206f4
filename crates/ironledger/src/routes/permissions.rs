//! Who may call which route: the table that the door reads, and that is tested and documented.

use std::sync::LazyLock;

use axum::http::Method;
use web::{
    Scope::{ProfileRead, ProfileWrite, TrainingRead, TrainingWrite},
    permissions::{Rule, Takes, Who},
};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Every route of the product.
pub(crate) static TABLE: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let reads = |path| Rule::athlete(GET, path).scope(TrainingRead).for_clients();
    let stats = |path| reads(path).takes(Takes::Stats);
    let trains = |method, path| Rule::athlete(method, path).scope(TrainingWrite).for_clients();
    vec![
        // For probes.
        Rule::anyone(GET, "/livez").takes(Takes::Nothing),
        Rule::anyone(GET, "/readyz").takes(Takes::Nothing),
        Rule::anyone(GET, "/health").takes(Takes::Nothing),
        // What the interface is.
        Rule::anyone(GET, "/openapi.json").takes(Takes::Nothing),
        Rule::anyone(GET, "/docs").takes(Takes::Nothing),
        Rule::anyone(GET, "/docs/").takes(Takes::Nothing),
        Rule::anyone(GET, "/docs/{*file}").takes(Takes::Nothing),
        // Each of its requests comes through the door by itself; this is for carrying them there.
        Rule::anyone(POST, "/v1/batch").for_clients(),
        // Coming in.
        Rule::anyone(POST, "/v1/auth/register").takes(Takes::Mail),
        Rule::anyone(POST, "/v1/auth/login"),
        Rule::anyone(POST, "/v1/auth/refresh"),
        Rule::anyone(POST, "/v1/auth/logout"),
        Rule::anyone(POST, "/v1/auth/password/forgot").takes(Takes::Mail),
        Rule::anyone(POST, "/v1/auth/password/reset"),
        Rule::anyone(GET, "/v1/auth/oidc"),
        Rule::anyone(POST, "/v1/auth/oidc/{issuer}/start").heeds_token(),
        Rule::anyone(POST, "/v1/auth/oidc/{issuer}/finish").heeds_token(),
        // Signed, and as many as there are.
        Rule::anyone(POST, "/v1/billing/notices").takes(Takes::Nothing),
        // One's account.
        Rule::athlete(GET, "/v1/auth/account"),
        Rule::athlete(POST, "/v1/auth/password"),
        Rule::athlete(POST, "/v1/auth/email/verification").takes(Takes::Mail),
        Rule::athlete(POST, "/v1/auth/email/verify"),
        Rule::athlete(GET, "/v1/auth/sessions"),
        Rule::athlete(DELETE, "/v1/auth/sessions"),
        Rule::athlete(DELETE, "/v1/auth/sessions/{id}"),
        Rule::athlete(GET, "/v1/auth/keys"),
        Rule::athlete(POST, "/v1/auth/keys"),
        Rule::athlete(DELETE, "/v1/auth/keys/{id}"),
        Rule::athlete(GET, "/v1/auth/identities"),
        Rule::athlete(POST, "/v1/auth/identities/unlink"),
        Rule::athlete(GET, "/v1/athletes/me/access"),
        // Oneself.
        Rule::athlete(GET, "/v1/athletes/me").scope(ProfileRead),
        Rule::athlete(PATCH, "/v1/athletes/me").scope(ProfileWrite),
        Rule::athlete(GET, "/v1/athletes/me/measurements").scope(ProfileRead),
        Rule::athlete(POST, "/v1/athletes/me/measurements").scope(ProfileWrite),
        Rule::athlete(GET, "/v1/athletes/me/measurements/{id}").scope(ProfileRead),
        Rule::athlete(PATCH, "/v1/athletes/me/measurements/{id}").scope(ProfileWrite),
        Rule::athlete(DELETE, "/v1/athletes/me/measurements/{id}").scope(ProfileWrite),
        // Training.
        reads("/v1/exercises"),
        reads("/v1/exercises/{exercise}"),
        trains(POST, "/v1/exercises").pro(),
        reads("/v1/workouts"),
        reads("/v1/workouts/{id}"),
        trains(POST, "/v1/workouts"),
        trains(POST, "/v1/workouts:bulk"),
        trains(PATCH, "/v1/workouts/{id}"),
        trains(DELETE, "/v1/workouts/{id}"),
        trains(POST, "/v1/workouts/{id}/complete"),
        trains(POST, "/v1/workouts/{id}/sets"),
        trains(PATCH, "/v1/workouts/{id}/sets/{set}"),
        trains(DELETE, "/v1/workouts/{id}/sets/{set}"),
        trains(POST, "/v1/workouts/{id}/sets/{set}/confirm"),
        trains(PUT, "/v1/workouts/{id}/exercises/{exercise}"),
        // Plans for it.
        reads("/v1/routines"),
        trains(POST, "/v1/routines"),
        reads("/v1/routines/liked"),
        reads("/v1/routines/{id}"),
        trains(PATCH, "/v1/routines/{id}"),
        trains(DELETE, "/v1/routines/{id}"),
        reads("/v1/routines/folders"),
        trains(POST, "/v1/routines/folders"),
        trains(PATCH, "/v1/routines/folders/{folder}"),
        trains(DELETE, "/v1/routines/folders/{folder}"),
        reads("/v1/athletes/{athlete}/routines"),
        reads("/v1/athletes/{athlete}/routines/{routine}"),
        trains(POST, "/v1/athletes/{athlete}/routines/{routine}/copy"),
        trains(PUT, "/v1/athletes/{athlete}/routines/{routine}/like"),
        trains(DELETE, "/v1/athletes/{athlete}/routines/{routine}/like"),
        // What came of it.
        reads("/v1/history"),
        reads("/v1/records"),
        reads("/v1/records/{exercise}"),
        reads("/v1/records/{exercise}/progression"),
        stats("/v1/stats/overview"),
        stats("/v1/stats/volume"),
        stats("/v1/stats/exercises"),
        stats("/v1/stats/exercises/{exercise}"),
        stats("/v1/stats/muscles"),
        stats("/v1/stats/personal-records"),
        stats("/v1/stats/strength-levels"),
        stats("/v1/stats/strength-levels/{exercise}"),
        // How athletes compare.
        Rule::athlete(GET, "/v1/leaderboards"),
        Rule::athlete(GET, "/v1/leaderboards/{board}"),
        Rule::athlete(GET, "/v1/leaderboards/{board}/live"),
        // Coaching.
        Rule::coach(GET, "/v1/coaching/clients"),
        Rule::coach(POST, "/v1/coaching/clients"),
        Rule::coach(DELETE, "/v1/coaching/clients/{athlete}"),
        Rule::athlete(GET, "/v1/coaching/coaches"),
        Rule::athlete(POST, "/v1/coaching/coaches/{athlete}/accept"),
        Rule::athlete(DELETE, "/v1/coaching/coaches/{athlete}"),
        // Others.
        Rule::athlete(GET, "/v1/users"),
        Rule::athlete(GET, "/v1/users/{username}"),
        Rule::athlete(GET, "/v1/athletes/{athlete}/relation"),
        Rule::athlete(PUT, "/v1/athletes/{athlete}/follow"),
        Rule::athlete(DELETE, "/v1/athletes/{athlete}/follow"),
        Rule::athlete(PUT, "/v1/athletes/{athlete}/block"),
        Rule::athlete(DELETE, "/v1/athletes/{athlete}/block"),
        Rule::athlete(GET, "/v1/athletes/{athlete}/followers"),
        Rule::athlete(GET, "/v1/athletes/{athlete}/following"),
        Rule::athlete(DELETE, "/v1/followers/{athlete}"),
        Rule::athlete(GET, "/v1/followers/requests"),
        Rule::athlete(GET, "/v1/followers/requested"),
        Rule::athlete(POST, "/v1/followers/requests/{athlete}/accept"),
        Rule::athlete(GET, "/v1/blocks"),
        // What they show, and what is said about it.
        Rule::athlete(GET, "/v1/feed"),
        Rule::athlete(GET, "/v1/athletes/{athlete}/posts"),
        Rule::athlete(GET, "/v1/athletes/{athlete}/workouts/{workout}"),
        Rule::athlete(POST, "/v1/workouts/{id}/share"),
        Rule::athlete(DELETE, "/v1/workouts/{id}/share"),
        Rule::athlete(POST, "/v1/posts"),
        Rule::athlete(GET, "/v1/posts/{post}"),
        Rule::athlete(PATCH, "/v1/posts/{post}"),
        Rule::athlete(DELETE, "/v1/posts/{post}"),
        Rule::athlete(PUT, "/v1/posts/{post}/like"),
        Rule::athlete(DELETE, "/v1/posts/{post}/like"),
        Rule::athlete(GET, "/v1/posts/{post}/likes"),
        Rule::athlete(POST, "/v1/posts/{post}/comments"),
        Rule::athlete(GET, "/v1/posts/{post}/comments"),
        Rule::athlete(GET, "/v1/comments/{comment}"),
        Rule::athlete(PATCH, "/v1/comments/{comment}"),
        Rule::athlete(DELETE, "/v1/comments/{comment}"),
        Rule::athlete(PUT, "/v1/comments/{comment}/like"),
        Rule::athlete(DELETE, "/v1/comments/{comment}/like"),
        Rule::athlete(GET, "/v1/comments/{comment}/likes"),
        Rule::athlete(POST, "/v1/reports"),
        // Audit.
        Rule::athlete(GET, "/v1/audit/sets/{id}").scope(TrainingRead),
        Rule::athlete(GET, "/v1/audit/workouts/{id}").scope(TrainingRead),
        Rule::athlete(GET, "/v1/audit/reads"),
        // For who runs the place.
        Rule::admin(GET, "/v1/log"),
        Rule::admin(GET, "/v1/admin/projections"),
        Rule::admin(GET, "/v1/admin/access"),
        Rule::admin(GET, "/v1/admin/accounts"),
        Rule::admin(PUT, "/v1/admin/accounts/{athlete}/role"),
        Rule::admin(PUT, "/v1/admin/accounts/{athlete}/tier"),
        Rule::admin(DELETE, "/v1/admin/accounts/{athlete}/sessions"),
        Rule::admin(GET, "/v1/admin/reports"),
        Rule::admin(POST, "/v1/admin/reports/{reporter}/{report}/resolve"),
        Rule::admin(PUT, "/v1/admin/content/{content}/hidden"),
        Rule::admin(DELETE, "/v1/admin/content/{content}/hidden"),
        Rule::admin(GET, "/v1/admin/accounts/{athlete}/suspension"),
        Rule::admin(PUT, "/v1/admin/accounts/{athlete}/suspension"),
        Rule::admin(DELETE, "/v1/admin/accounts/{athlete}/suspension"),
    ]
});

/// The table as a page of the docs shows it.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Who may call which route\n\nMade by `cargo xtask permissions` from the table that the door reads \
         (`crates/ironledger/src/routes/permissions.rs`). A route that is not in it is\nclosed. *API key* is the scope \
         that a key must have, if keys are let in; *for a client* says whether a coach may name one in\n\
         `X-Acting-For`; *limits* what a request takes besides one of the caller's.\n\n\
         | route | who | API key | for a client | pro | limits |\n|---|---|---|---|---|---|\n",
    );
    for rule in TABLE.iter() {
        let who = match rule.who {
            Who::Anyone if rule.heeds_token => "everybody, with a good token or none",
            Who::Anyone => "everybody",
            Who::Athlete => "athletes",
            Who::Coach => "coaches",
            Who::Admin => "admins",
        };
        let key = rule.scope.map_or("no", |scope| scope.as_str());
        let key = if rule.who == Who::Anyone { "" } else { key };
        let yes = |is_so| if is_so { "yes" } else { "" };
        let takes = match rule.takes {
            Takes::Nothing => "none",
            Takes::One => "",
            Takes::Stats => "stats",
            Takes::Mail => "mail",
        };
        page += &format!(
            "| `{} {}` | {who} | {key} | {} | {} | {takes} |\n",
            rule.method,
            rule.path,
            yes(rule.for_clients),
            yes(rule.pro),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::TABLE;
    use crate::{app::App, routes};

    /// What is served is in the table, and what is in the table is served.
    #[tokio::test]
    async fn every_route_is_in_the_table_once() {
        let app = App::unconnected().unwrap();
        let (_, served) = routes::all(&app).into_parts();
        let served: Vec<(String, &str)> =
            served.into_iter().map(|route| (route.method.to_string(), route.path)).collect();
        let listed: Vec<(String, &str)> =
            TABLE.iter().map(|rule| (rule.method.to_string(), rule.path)).collect();
        let set =
            |routes: &[(String, &'static str)]| -> BTreeSet<_> { routes.iter().cloned().collect() };
        assert_eq!(set(&served), set(&listed));
        assert_eq!(served.len(), listed.len(), "none twice");
    }
}
