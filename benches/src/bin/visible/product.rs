//! Which processes are measured, and when are they ready?

use std::path::Path;

use testkit::{Client, Database, Kafka, MASTER_KEY, Process, TOKEN_KEY, email, eventually};

/// The product on a database of its own, and a topic of its own if it has Kafka.
pub(crate) struct Product {
    url: String,
    api: Process,
    relay: Option<Process>,
    projector: Process,
    pub(crate) kafka: Option<Kafka>,
    /// Dropped last, when nobody uses it any more.
    pub(crate) database: Database,
}

impl Product {
    /// Without Kafka, the projector reads Postgres.
    pub(crate) async fn start(binary: &Path, kafka: Option<Kafka>) -> Self {
        let database = Database::fresh().await;
        let mut api = Process::start(
            binary,
            &["api", "--listen", "127.0.0.1:0"],
            &[
                ("DATABASE_URL", &database.api_url()),
                ("IRONLEDGER_MASTER_KEY", MASTER_KEY),
                ("IRONLEDGER_TOKEN_KEY", TOKEN_KEY),
                ("IRONLEDGER_BYPASS_KEY", testkit::BYPASS_KEY),
            ],
        );
        let url = api.listening().await;
        let of_kafka = kafka.as_ref().map(Kafka::environment);
        let start = |arguments: &[&str], url: &str| {
            let of_kafka = of_kafka.iter().flatten().copied();
            // Strength opens bodyweights.
            let own = [("DATABASE_URL", url), ("IRONLEDGER_MASTER_KEY", MASTER_KEY)];
            let environment: Vec<_> = own.into_iter().chain(of_kafka).collect();
            Process::start(binary, arguments, &environment)
        };
        let relay = of_kafka.map(|_| start(&["relay"], &database.relay_url()));
        let projector = start(&["projector", "--all"], &database.projector_url());
        let product = Self { url, api, relay, projector, kafka, database };
        product.ready().await;
        product
    }

    async fn ready(&self) {
        let client = Client::anonymous(&self.url);
        eventually("a product that is ready", async || {
            (client.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        if self.kafka.is_some() {
            eventually("a projector that has partitions of the topic", async || {
                let output = self.projector.output();
                let last = output.lines().rfind(|line| line.contains("partitions of the topic"))?;
                (!last.contains("\"[]\"")).then_some(())
            })
            .await;
        }
    }

    /// An athlete who has just registered.
    pub(crate) async fn athlete(&self) -> Client {
        Client::anonymous(&self.url).register(&email(), "Europe/Paris").await
    }

    /// What the processes logged as errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        let processes = [Some(&self.api), self.relay.as_ref(), Some(&self.projector)];
        let outputs: Vec<String> = processes.into_iter().flatten().map(Process::output).collect();
        let lines = outputs.iter().flat_map(|output| output.lines());
        let wrong = |line: &&str| line.contains("\"ERROR\"") || line.contains("panicked");
        lines.filter(wrong).map(str::to_owned).collect()
    }
}
