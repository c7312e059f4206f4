//! What a developer does, one command each: `cargo xtask help` lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

mod cargo;
mod generated;
mod install;
mod python;
mod run;
mod services;
mod sqlx;
mod tidy;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use cargo::{Exit, cargo};

/// One command: its name, what follows it, what it does, and the doing.
struct Command {
    name: &'static str,
    arguments: &'static str,
    does: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "up",
        arguments: "[ARGS…]",
        does: "install what is missing, build release, run `ironledger up --demo ARGS…`",
        run: run::up,
    },
    Command {
        name: "test",
        arguments: "[ARGS…]",
        does: "run all tests; ARGS as for `cargo test`",
        run: run::test,
    },
    Command {
        name: "services",
        arguments: "start|stop|status [--folder DIR]",
        does: "Postgres, Kafka and Redis that go on; status ends with 0 if all run, else with 1",
        run: services::services,
    },
    Command {
        name: "check",
        arguments: "",
        does: "what CI asks before the tests: fmt, clippy, stale files, tidy",
        run: check,
    },
    Command {
        name: "tidy",
        arguments: "",
        does: "hold the house rules: file docs, lengths, blanks, links of the docs",
        run: tidy::tidy,
    },
    Command {
        name: "contracts",
        arguments: "[--check|release]",
        does: "write schemas and docs of the events anew, or fail where they are stale; refuse \
               what breaks a reader; `release` keeps them for that",
        run: generated::contracts,
    },
    Command {
        name: "sqlx",
        arguments: "[--check]",
        does: "write the query data in .sqlx anew, or fail where it is stale",
        run: sqlx::sqlx,
    },
    Command {
        name: "sample",
        arguments: "[--check]",
        does: "write docs/examples/sample-hevy.csv anew, or fail where it is stale",
        run: generated::sample,
    },
    Command {
        name: "permissions",
        arguments: "[--check]",
        does: "write docs/permissions.md anew, or fail where it is stale",
        run: generated::permissions,
    },
    Command {
        name: "openapi",
        arguments: "[--check]",
        does: "write docs/openapi.json anew, or fail where it is stale",
        run: generated::openapi,
    },
    Command {
        name: "examples",
        arguments: "",
        does: "record the document's examples anew on a server of this program",
        run: run::examples,
    },
    Command {
        name: "bench",
        arguments: "NAME [ARGS…]",
        does: "measure on servers that keep what they are told; no NAME lists them",
        run: run::bench,
    },
    Command {
        name: "faults",
        arguments: "NAME [ARGS…]",
        does: "break things on purpose; no NAME lists them",
        run: run::faults,
    },
    Command {
        name: "oracle",
        arguments: "[--histories N] [--seed S]",
        does: "compare every record of random histories with a recomputation from scratch",
        run: run::oracle,
    },
    Command {
        name: "model",
        arguments: "NAME [--runs N] [--seed S]",
        does: "tell random stories to the product and to a plain recomputation; no NAME lists them",
        run: run::model,
    },
    Command {
        name: "fuzz-api",
        arguments: "[--examples N] [--seed S] [--only TEXT]",
        does: "send the interface what its document allows, and much that it does not, for every kind of \
               caller; hold the answers to the document",
        run: run::fuzz_api,
    },
    Command {
        name: "real-data",
        arguments: "DIR",
        does: "import the real exports in DIR; compare history with them, and records with a recomputation",
        run: run::real_data,
    },
    Command { name: "help", arguments: "", does: "this list", run: help },
];

/// What the list says at its end.
const SERVERS: &str = "
What needs servers installs them if need be and starts private ones for its own time, except where
DATABASE_URL, KAFKA_BROKERS or REDIS_URL names one. `services` heeds no variable and prints them:

  eval \"$(cargo xtask services start)\"
";

fn main() -> ExitCode {
    let Err(error) = dispatch() else {
        return ExitCode::SUCCESS;
    };
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    eprintln!("xtask: {error:#}");
    ExitCode::FAILURE
}

fn dispatch() -> Result<()> {
    let mut arguments = std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().ok().context("an argument is not UTF-8"));
    let name = arguments.next().transpose()?.unwrap_or_default();
    let rest: Vec<String> = arguments.collect::<Result<_>>()?;
    if ["--help", "-h"].contains(&name.as_str()) {
        return help(&rest);
    }
    if name == services::WATCH {
        return services::watch(&rest);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        if !name.is_empty() {
            eprintln!("xtask: there is no command {name}\n");
        }
        eprint!("{}", list());
        return Err(Exit(2).into());
    };
    (command.run)(&rest)
}

fn help(_: &[String]) -> Result<()> {
    print!("{}", list());
    Ok(())
}

fn list() -> String {
    let mut text = "cargo xtask COMMAND\n\n".to_owned();
    for Command { name, arguments, does, .. } in COMMANDS {
        let call = format!("{name} {arguments}");
        // A long call has a line of its own.
        let gap = if call.len() < 22 { "" } else { "\n                        " };
        text += &format!("  {call:<22}{gap}{does}\n");
    }
    text + SERVERS
}

/// The one flag that some commands take.
fn wants_check(arguments: &[String]) -> Result<bool> {
    let check = arguments.iter().any(|argument| argument == "--check");
    ensure!(arguments.len() == usize::from(check), "the only argument is --check");
    Ok(check)
}

fn check(_: &[String]) -> Result<()> {
    let only_check = ["--check".to_owned()];
    cargo::step("cargo fmt");
    cargo::run(cargo(&["fmt", "--all", "--check"]))?;
    cargo::step("tidy");
    tidy::tidy(&[])?;
    cargo::step("contracts");
    generated::contracts(&only_check)?;
    // Before the first build that reads them.
    cargo::step("sqlx");
    sqlx::sqlx(&only_check)?;
    cargo::step("cargo clippy");
    cargo::run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    cargo::step("sample");
    generated::sample(&only_check)?;
    cargo::step("permissions");
    generated::permissions(&only_check)?;
    cargo::step("openapi");
    generated::openapi(&only_check)
}
