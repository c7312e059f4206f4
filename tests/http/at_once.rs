//! What somebody takes away is gone with the answer, however far the projectors are.

use log::Positions;
use projections::{history::History, social::Social};
use serde_json::{Value, json};
use testkit::{Answer, App, Client, Method, model::social::Product};

use crate::{
    binary,
    social::{follow, id, ids, me, of, publish, put},
};

#[tokio::test]
async fn what_is_taken_away_is_gone_at_once_however_far_the_projector_is() {
    let mut app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let ada = app.athlete().await;
    let mut authors = Vec::new();
    for _ in 0..8 {
        let author = app.athlete().await;
        follow(&ada, &author).await;
        authors.push(author);
    }
    let mut posts = Vec::new();
    for author in &authors {
        posts.push(publish(author, "Look", "public").await);
    }
    let stranger = app.athlete().await;
    let comment = json!({ "text": "Nice" });
    let comments = format!("/v1/posts/{}/comments", id(&posts[7]));
    let said = stranger.post(&comments, comment).await.expect(201);
    for post in &posts {
        ada.get_at("/v1/feed", post.position()).await.expect(200);
    }
    ada.get_at("/v1/feed", said.position()).await.expect(200);
    let there = ada.at(&url);
    assert_eq!(there.get("/v1/feed").await.expect(200).list().len(), 8);
    assert_eq!(there.get(&comments).await.expect(200).list().len(), 1);

    app.projector = None;
    let path = |index: usize| format!("/v1/posts/{}", id(&posts[index]));
    // Each takes its own post away, in its own way.
    ada.delete(&of(&authors[0], "follow")).await.expect(200);
    put(&ada, &of(&authors[1], "block")).await.expect(200);
    put(&authors[2], &of(&ada, "block")).await.expect(200);
    authors[3].delete(&format!("/v1/followers/{}", me(&ada))).await.expect(200);
    authors[4].delete(&path(4)).await.expect(200);
    authors[5].patch(&path(5), json!({ "visibility": "private" })).await.expect(200);
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    put(&admin, &format!("/v1/admin/content/{}/hidden", id(&posts[6]))).await.expect(200);
    put(&stranger, &of(&ada, "block")).await.expect(200);
    let own = async |author: &Client| author.get(&of(author, "posts")).await.expect(200);
    assert_eq!(ids(&own(&authors[4]).await), [] as [&str; 0], "nor do they see it themselves");
    for author in &authors[5..7] {
        assert_eq!(
            own(author).await.list().len(),
            1,
            "what is withdrawn from others is still theirs"
        );
    }
    for reader in [&ada, &there] {
        let feed = reader.get("/v1/feed").await.expect(200);
        assert_eq!(ids(&feed), [id(&posts[7])], "on this process and on that");
        assert_eq!(reader.get(&comments).await.expect(200).list(), [] as [Value; 0]);
        for gone in [1, 2, 4, 5, 6] {
            reader.get(&path(gone)).await.refused(404, "NOT_FOUND");
        }
        // Public is public.
        reader.get(&path(0)).await.expect(200);
    }
    assert_eq!(stranger.get(&comments).await.expect(200).list().len(), 1);
    stranger.delete(&format!("/v1/comments/{}", id(&said))).await.expect(200);
    assert_eq!(stranger.get(&comments).await.expect(200).list(), [] as [Value; 0]);
    let suspension = of(&authors[7], "suspension").replace("/v1/", "/v1/admin/");
    let suspension = suspension.replace("athletes", "accounts");
    let suspend = admin.request(Method::PUT, &suspension).json(&json!({}));
    Answer::to(suspend).await.expect(200);
    assert_eq!(there.get("/v1/feed").await.expect(200).list(), [] as [Value; 0]);
    // And it stays so.
    app.start_projector();
    let last = publish(&ada, "Still there", "private").await;
    let feed = there.get_at("/v1/feed", last.position()).await;
    assert_eq!(feed.expect(200).list(), [] as [Value; 0]);
    assert_eq!(app.errors(), Vec::<String>::new());
}

/// Rows of two athletes are of two partitions, each of which is projected at its own pace.
#[tokio::test]
async fn a_follow_that_was_ended_does_not_come_back_while_half_is_projected() {
    let mut product = Product::<Social, History>::start(binary()).await;
    let partition = |told: &Answer| {
        let position: Positions = told.position().parse().unwrap();
        position.at.into_keys().next().unwrap()
    };
    let ada = product.app.athlete().await;
    let of_ada = partition(&publish(&ada, "For those who follow", "followers").await);
    let bob = loop {
        let bob = product.app.athlete().await;
        let followed = put(&bob, &of(&ada, "follow")).await.expect(200);
        if partition(&followed) != of_ada {
            break bob;
        }
    };
    let seen = async || bob.get("/v1/feed").await.expect(200).list().len();
    product.project(None).await;
    assert_eq!(seen().await, 1);

    let follower = format!("/v1/followers/{}", me(&bob));
    ada.delete(&follower).await.expect(200);
    put(&bob, &of(&ada, "follow")).await.expect(200);
    ada.delete(&follower).await.expect(200);
    assert_eq!(seen().await, 0);
    // Now the rows have that the second follow was ended, and the first as the one that stands.
    product.project(Some(&[of_ada])).await;
    assert_eq!(seen().await, 0);
    product.project(None).await;
    assert_eq!(seen().await, 0);
}
