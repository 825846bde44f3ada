//! `fairway profile`: named servers of this person on this machine.

use std::path::{Path, PathBuf};

use serde::Serialize;
use toml_edit::{DocumentMut, Item, Table as TomlTable, value};

use crate::error::{CliError, Result};
use crate::files::replace;
use crate::hub::profiles::{Profile, Profiles, check_private, checked_name};
use crate::hub::{profiles_path, server_url};
use crate::out::Out;
use crate::table::{Format, Table, cell};

/// Arguments of `fairway profile`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    command: Command,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the profiles; the default one is marked
    List,
    /// Add a profile, or change one; the first one becomes the default
    Add {
        /// Its name
        name: String,
        /// Address of the update server, with its scheme
        #[arg(long)]
        url: String,
        /// File that holds its API token; nobody else may read it
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Show the token over plain HTTP to another machine, on a network that nobody listens to
        #[arg(long)]
        token_over_http: bool,
    },
    /// Make a profile the default: for commands where nothing else names a server
    Use {
        /// Its name
        name: String,
    },
    /// Remove a profile; its token file stays
    Remove {
        /// Its name
        name: String,
    },
    /// Show one profile, or the default
    Show {
        /// Its name
        name: Option<String>,
    },
}

/// A profile as it is shown; never the token.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    default: bool,
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<String>,
    /// `ok`, `missing`, `open` (others may read it), `none`.
    token: &'static str,
    token_over_http: bool,
}

/// Runs `fairway profile …`.
pub(crate) fn run(args: &ProfileArgs, out: &mut Out) -> Result<()> {
    let path = profiles_path().ok_or_else(|| {
        CliError::failed("there is no place for profiles: neither HOME nor FAIRWAY_PROFILES is set")
    })?;
    run_in(&path, args, out)
}

fn run_in(path: &Path, args: &ProfileArgs, out: &mut Out) -> Result<()> {
    let profiles = Profiles::load(path)?;
    match &args.command {
        Command::List => {
            let all: Vec<Shown<'_>> = profiles
                .profiles
                .iter()
                .map(|(name, profile)| shown(name, profile, &profiles))
                .collect();
            let nothing =
                "there are no profiles; make one with: fairway profile add NAME --url URL";
            super::print(out, args.output, &all, || table(&all), nothing)
        }
        Command::Add { name, url, token_file, token_over_http } => {
            let new = Profile {
                server: server_url(url)?.to_string(),
                token_file: token_file.as_deref().map(absolute).transpose()?,
                token_over_http: *token_over_http,
            };
            if let Some(file) = &new.token_file {
                check_private(file)?;
            }
            let name = checked_name(name)?;
            let is_first = profiles.profiles.is_empty();
            edit(path, |document| {
                put(document, name, &new)?;
                if is_first {
                    document.insert("default", value(name));
                }
                Ok(())
            })?;
            let mark = if is_first { ", the default" } else { "" };
            let told = format!("profile {name}{mark}: {}", new.server);
            print_one(path, name, args.output, &told, out)
        }
        Command::Use { name } => {
            let server = &profiles.get(name)?.server;
            edit(path, |document| {
                document.insert("default", value(name));
                Ok(())
            })?;
            let told = format!("profile {name} ({server}) is the default");
            print_one(path, name, args.output, &told, out)
        }
        Command::Remove { name } => {
            super::answers_nothing(args.output, "profile remove")?;
            remove(path, name, &profiles, out)
        }
        Command::Show { name } => {
            let name = name.as_deref().or(profiles.default.as_deref()).ok_or_else(|| {
                CliError::failed("there is no default profile")
                    .hint("name one, or choose one with: fairway profile use NAME")
            })?;
            let one = shown(name, profiles.get(name)?, &profiles);
            super::print(out, args.output, &one, || table(std::slice::from_ref(&one)), "")
        }
    }
}

/// Takes a profile away; its token file is its owner's.
fn remove(path: &Path, name: &str, profiles: &Profiles, out: &mut Out) -> Result<()> {
    profiles.get(name)?;
    let was_default = profiles.default.as_deref() == Some(name);
    edit(path, |document| {
        if let Some(table) = document.get_mut("profiles").and_then(Item::as_table_like_mut) {
            table.remove(name);
        }
        if was_default {
            document.remove("default");
        }
        Ok(())
    })?;
    let mark = if was_default { "; there is no default any more" } else { "" };
    out.note(&format!("profile {name} is removed; its token file stays{mark}"))
}

/// A profile as it is after a change.
fn print_one(path: &Path, name: &str, format: Format, told: &str, out: &mut Out) -> Result<()> {
    let profiles = Profiles::load(path)?;
    let one = shown(name, profiles.get(name)?, &profiles);
    super::answered(out, format, &one, || table(std::slice::from_ref(&one)), told)
}

fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file)
        .map_err(|error| CliError::because(format!("failed to find {}", file.display()), &error))
}

fn shown<'a>(name: &'a str, profile: &'a Profile, all: &Profiles) -> Shown<'a> {
    let token = match &profile.token_file {
        None => "none",
        Some(file) if !file.exists() => "missing",
        Some(file) if check_private(file).is_err() => "open",
        Some(_) => "ok",
    };
    Shown {
        name,
        default: all.default.as_deref() == Some(name),
        server: &profile.server,
        token_file: profile.token_file.as_ref().map(|file| file.display().to_string()),
        token,
        token_over_http: profile.token_over_http,
    }
}

fn table(profiles: &[Shown<'_>]) -> Table {
    let yes = |is: bool| if is { "yes".to_owned() } else { String::new() };
    let mut table =
        Table::new(&["name", "default", "server", "token", "token_file", "token_over_http"]);
    for one in profiles {
        table.row(vec![
            one.name.to_owned(),
            yes(one.default),
            one.server.to_owned(),
            one.token.to_owned(),
            cell(one.token_file.as_ref()),
            yes(one.token_over_http),
        ]);
    }
    table
}

/// Changes the file and leaves what people wrote beside it.
fn edit(path: &Path, change: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(CliError::because(format!("failed to read {}", path.display()), &error));
        }
    };
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| CliError::because(format!("{} is no TOML", path.display()), &error))?;
    change(&mut document)?;
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| replace(path, document.to_string().as_bytes()))
        .map_err(|error| CliError::because(format!("failed to write {}", path.display()), &error))
}

fn put(document: &mut DocumentMut, name: &str, profile: &Profile) -> Result<()> {
    let profiles = document.entry("profiles").or_insert_with(|| {
        let mut table = TomlTable::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let not_a_table = || CliError::failed("`profiles` is no table");
    let profiles = profiles.as_table_like_mut().ok_or_else(not_a_table)?;
    let mut table = TomlTable::new();
    table.insert("server", value(profile.server.as_str()));
    if let Some(file) = &profile.token_file {
        let file = file
            .to_str()
            .ok_or_else(|| CliError::failed(format!("{} is not Unicode", file.display())))?;
        table.insert("token_file", value(file));
    }
    if profile.token_over_http {
        table.insert("token_over_http", value(true));
    }
    profiles.insert(name, Item::Table(table));
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ProfileArgs,
    }

    fn profile(dir: &Path, words: &[&str]) -> (Result<()>, String, String) {
        at(&dir.join("fairway/config.toml"), words)
    }

    /// One command on the profiles of a file.
    pub(crate) fn at(file: &Path, words: &[&str]) -> (Result<()>, String, String) {
        let words = std::iter::once("profile").chain(words.iter().copied());
        let args = Cli::try_parse_from(words).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let result = run_in(file, &args, &mut out);
        (result, stdout.text(), stderr.text())
    }

    fn token(dir: &Path, mode: u32) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join("token");
        std::fs::write(&path, "fw_secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn profiles_are_made_chosen_shown_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = token(dir.path(), 0o600);
        let run = |words: &[&str]| {
            let (result, stdout, stderr) = profile(dir.path(), words);
            result.unwrap();
            (stdout.replace(&file, "TOKEN"), stderr)
        };
        assert!(run(&["list"]).1.starts_with("there are no profiles"));
        let added = run(&["add", "prod", "--url", "https://hub.example", "--token-file", &file]);
        assert_eq!(added.1, "profile prod, the default: https://hub.example/\n");
        run(&["add", "lab", "--url", "http://127.0.0.1:8480"]);
        run(&["use", "lab"]);
        insta::assert_snapshot!(run(&["list", "--output", "csv"]).0, @"
        name,default,server,token,token_file,token_over_http
        lab,yes,http://127.0.0.1:8480/,none,,
        prod,,https://hub.example/,ok,TOKEN,
        ");
        insta::assert_snapshot!(run(&["show", "prod", "--output", "json"]).0, @r#"
        {
          "name": "prod",
          "default": false,
          "server": "https://hub.example/",
          "token_file": "TOKEN",
          "token": "ok",
          "token_over_http": false
        }
        "#);
        assert!(run(&["remove", "lab"]).1.ends_with("there is no default any more\n"));
        let (result, ..) = profile(dir.path(), &["show"]);
        assert!(result.unwrap_err().hint_text().unwrap().contains("profile use"));
        let text = std::fs::read_to_string(dir.path().join("fairway/config.toml")).unwrap();
        insta::assert_snapshot!(text.replace(&file, "TOKEN"), @r#"
        [profiles.prod]
        server = "https://hub.example/"
        token_file = "TOKEN"
        "#);
    }

    #[test]
    fn a_token_file_that_others_read_makes_no_profile_and_one_that_became_so_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let words = |file| ["add", "prod", "--url", "https://hub", "--token-file", file];
        let file = token(dir.path(), 0o644);
        let (result, ..) = profile(dir.path(), &words(&file));
        let error = result.unwrap_err();
        assert!(error.to_string().contains("others on this machine"), "{error}");
        token(dir.path(), 0o600);
        profile(dir.path(), &words(&file)).0.unwrap();
        token(dir.path(), 0o644);
        assert!(profile(dir.path(), &["list"]).1.contains("open"));
        std::fs::remove_file(&file).unwrap();
        assert!(profile(dir.path(), &["list"]).1.contains("missing"));
    }

    #[test]
    fn what_people_wrote_into_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fairway/config.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = "# ours\n[profiles.a] # the old one\nserver = \"https://a\"\n";
        std::fs::write(&path, text).unwrap();
        profile(dir.path(), &["add", "b", "--url", "https://b"]).0.unwrap();
        let after = std::fs::read_to_string(&path).unwrap();
        assert!(after.starts_with(text), "{after}");
        assert!(after.contains("[profiles.b]\nserver = \"https://b/\"\n"), "{after}");
    }
}
