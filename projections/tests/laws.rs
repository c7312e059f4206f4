//! Every projection, held to the laws.

use projections::{
    boards::Boards, coaching::Coaching, history::History, open::Open, records::Records,
    routines::Routines, social::Social, stats::Stats, strength::Strength,
};
use testkit::laws;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_keeps_the_laws() {
    laws::hold::<History>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_keeps_the_laws() {
    laws::hold::<Stats>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_keep_the_laws() {
    laws::hold::<Records>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strength_keeps_the_laws() {
    laws::hold::<Strength>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coaching_keeps_the_laws() {
    laws::hold::<Coaching>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routines_keep_the_laws() {
    laws::hold::<Routines>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_keeps_the_laws() {
    laws::hold::<Open>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn social_keeps_the_laws() {
    laws::hold::<Social>(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_keep_the_laws() {
    laws::hold::<Boards>(1).await;
}
