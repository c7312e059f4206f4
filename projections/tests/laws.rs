//! Every projection, held to the laws.

use projections::history::History;
use testkit::laws;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_keeps_the_laws() {
    laws::hold::<History>(1).await;
}
