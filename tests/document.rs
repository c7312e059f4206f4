//! Is the OpenAPI document true? Its examples are what a server answers, and a client made from it,
//! whose types a checker holds a program to, does a day's work.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use testkit::{App, BYPASS_KEY};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const BILLING_KEY: &str = "what the billing service of the examples signs with";

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ironledger"))
}

fn file(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

/// The Python that has what makes and checks clients.
fn python() -> Command {
    let python = std::env::var("CLIENT_PYTHON")
        .expect("CLIENT_PYTHON; use `cargo xtask test`, which makes it");
    let mut command = Command::new(python);
    command.stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// What a command that takes a while said, once it has ended well.
async fn run(mut command: Command) -> Vec<u8> {
    let running = tokio::task::spawn_blocking(move || command.output());
    let Output { status, stdout, stderr } = running.await.expect("a run").expect("a program");
    let said = [&stdout[..], &stderr].map(String::from_utf8_lossy).concat();
    assert!(status.success(), "{said}");
    stdout
}

/// `RECORD_EXAMPLES` writes down what is answered now, in place of comparing.
#[tokio::test]
async fn examples_are_what_a_server_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).expect("a folder of mails");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number");
    let issuer = format!("http://{free}");
    let issuers = folder.path().join("issuers.json");
    let configuration = json!([{
        "name": "example",
        "issuer": issuer,
        "client_id": "ironledger-examples",
        "client_secret_env": "IRONLEDGER_EXAMPLES_SECRET",
        "redirect_uris": ["https://app.example.com/signed-in"],
    }]);
    std::fs::write(&issuers, configuration.to_string()).expect("a file of issuers");
    let environment = [
        ("IRONLEDGER_BILLING_KEY", BILLING_KEY),
        ("IRONLEDGER_EXAMPLES_SECRET", "a secret of the examples"),
        ("IRONLEDGER_OIDC", issuers.to_str().expect("a plain path")),
        ("IRONLEDGER_MAIL_FOLDER", mails.to_str().expect("a plain path")),
    ];
    let app = App::start_with(binary(), &environment).await;
    let mut record = python();
    record.arg(file("docs/api/record.py")).arg(app.url()).args(["--bypass-key", BYPASS_KEY]);
    record.args(["--billing-key", BILLING_KEY, "--issuer", &issuer]).arg("--mail").arg(&mails);
    record.arg("--grant").arg(format!("{} admin grant", binary().display()));
    record.env("DATABASE_URL", app.database.api_url()).envs(testkit::SECRETS);
    let recorded = String::from_utf8(run(record).await).expect("a text");

    let path = file("docs/api/examples.json");
    if std::env::var_os("RECORD_EXAMPLES").is_some() {
        std::fs::write(&path, &recorded).expect("the file of examples");
    }
    let kept = std::fs::read_to_string(&path).expect("the examples");
    let [kept_each, recorded_each] =
        [&kept, &recorded].map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    for (operation, example) in recorded_each.as_object().expect("examples") {
        assert_eq!(kept_each[operation], *example, "{operation}: `cargo xtask examples`");
    }
    assert!(kept == recorded, "examples that are no more, or another order");
    assert_eq!(app.errors(), [""; 0]);
}

#[tokio::test]
async fn a_client_made_from_the_document_does_a_days_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let client = folder.path().join("ironledger_client");
    let mut make = python();
    make.args(["-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]);
    make.arg("--path").arg(file("docs/openapi.json"));
    make.arg("--config").arg(file("tests/client/generator.yaml"));
    make.arg("--output-path").arg(&client);
    run(make).await;

    let document = std::fs::read_to_string(file("docs/openapi.json")).expect("the document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let operations: usize = paths.map(|path| path.as_object().map_or(0, |all| all.len())).sum();
    let modules = std::fs::read_dir(client.join("api")).expect("a folder of modules");
    let made = modules.flatten().filter_map(|module| std::fs::read_dir(module.path()).ok());
    let made = made.flatten().flatten().filter(|file| {
        let name = file.file_name();
        name.to_str().is_some_and(|name| name.ends_with(".py") && name != "__init__.py")
    });
    assert_eq!(made.count(), operations, "a function for every operation");

    let story = file("tests/client/story.py");
    let mut check = python();
    check.args(["-m", "mypy", "--strict", "--no-incremental"]).arg(&story);
    check.current_dir(folder.path()).env("MYPYPATH", folder.path());
    run(check).await;

    let app = App::start(binary()).await;
    let mut tell = python();
    tell.arg(&story).arg(app.url()).args(["--bypass-key", BYPASS_KEY]);
    tell.env("PYTHONPATH", folder.path());
    run(tell).await;
    assert_eq!(app.errors(), [""; 0]);
}
