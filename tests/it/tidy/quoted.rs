//! Commands quoted in documents, held against the programs' own definitions.
//!
//! Values are not judged: a document writes `"$HUB"` where a person writes an address. Names of
//! subcommands and options are, and whether required ones are there.

use clap::{Arg, ArgAction, Command};

/// Fences that hold commands.
const SHELLS: [&str; 2] = ["sh", "console"];

/// Programs whose commands are looked for in indented blocks.
const PROGRAMS: [&str; 7] =
    ["fairway", "update-server", "cluster-agent", "offline-mirror", "cargo", "kubectl", "curl"];

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    /// Line of the document, from 1.
    pub(super) line: usize,
    /// The program and its words; what followed `cargo run --release --` for `fairway`.
    pub(super) words: Vec<String>,
}

/// The fenced blocks of `languages`, each with the line of its first content line.
pub(super) fn blocks<'t>(
    text: &'t str,
    languages: &'t [&'t str],
) -> impl Iterator<Item = (usize, String)> + 't {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        loop {
            let (number, line) = lines.next()?;
            let Some(language) = line.trim_start().strip_prefix("```") else { continue };
            let block: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| !line.trim_start().starts_with("```"))
                .collect();
            if languages.contains(&language.trim()) {
                return Some((number + 2, block.join("\n")));
            }
        }
    })
}

/// Every command of ours in the shell blocks of a document.
pub(super) fn commands(text: &str) -> Vec<Quoted> {
    let ours =
        |quoted: Quoted| program(&quoted.words).map(|words| Quoted { line: quoted.line, words });
    every_command(text).into_iter().filter_map(ours).collect()
}

/// Every command in the shell blocks of a document, whosever it is, without what stands before its
/// program. In indented blocks, which have no language, those of [`PROGRAMS`] alone.
pub(super) fn every_command(text: &str) -> Vec<Quoted> {
    let fenced = blocks(text, &SHELLS).map(|(first, block)| (first, block, true));
    let indented = indented(text).into_iter().map(|(first, block)| (first, block, false));
    let mut found = Vec::new();
    for (first, block, is_shell) in fenced.chain(indented) {
        let mut line = first;
        for logical in block.replace("\\\n", "\u{1}").lines() {
            let here = line;
            line += 1 + logical.matches('\u{1}').count();
            let text = logical.replace('\u{1}', " ");
            let text = text.trim_start().trim_start_matches("$ ");
            let words = simple_commands(text).into_iter().map(|words| started(&words));
            let is_meant =
                |words: &Vec<String>| words.first().is_some_and(|p| is_shell || is_program(p));
            found.extend(words.filter(is_meant).map(|words| Quoted { line: here, words }));
        }
    }
    found
}

fn is_program(word: &str) -> bool {
    PROGRAMS.contains(&word)
}

/// Blocks of lines that are indented, outside of fences, each with the line it begins at.
fn indented(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut fenced, mut goes_on) = (false, false);
    for (line, text) in (1..).zip(text.lines()) {
        let is_fence = text.trim_start().starts_with("```");
        fenced ^= is_fence;
        let code = text.strip_prefix("    ").filter(|_| !fenced && !is_fence);
        match (code, found.last_mut()) {
            (Some(code), Some((_, block))) if goes_on => {
                block.push('\n');
                block.push_str(code);
            }
            (Some(code), _) => found.push((line, code.to_owned())),
            (None, _) => {}
        }
        goes_on = code.is_some();
    }
    found
}

/// Splits a line of shell into the words of each simple command, those inside `$(…)` apart.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    // A stack of commands being read: `$(` opens one, `)` ends it.
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut done = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    let end_word = |word: &mut String, open: &mut Vec<Vec<String>>| {
        if !word.is_empty() {
            let taken = std::mem::take(word);
            open.last_mut().expect("one is open").push(taken);
        }
    };
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('$', None | Some('"')) if chars.peek() == Some(&'(') => {
                chars.next();
                word.push_str("$()");
                end_word(&mut word, &mut open);
                open.push(Vec::new());
                quote = None;
            }
            (')', None) if open.len() > 1 => {
                end_word(&mut word, &mut open);
                done.extend(open.pop());
                // The closing quote of "$(…)", if there is one, adds nothing to a word.
                if chars.peek() == Some(&'"') {
                    chars.next();
                }
            }
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                // A quoted word may be empty or blank and is a word all the same.
                word.push('\u{2}');
            }
            ('#', None) if word.is_empty() => break,
            (';' | '|' | '&', None) => {
                end_word(&mut word, &mut open);
                done.push(std::mem::take(open.last_mut().expect("one is open")));
            }
            (c, None) if c.is_whitespace() => end_word(&mut word, &mut open),
            (c, Some(_) | None) => word.push(c),
        }
    }
    end_word(&mut word, &mut open);
    done.extend(open);
    for words in &mut done {
        for word in words.iter_mut() {
            *word = word.replace('\u{2}', "");
        }
    }
    done
}

/// The command without what stands before the program, if the program is one of ours.
fn program(words: &[String]) -> Option<Vec<String>> {
    let words = started(words);
    definition(words.first()?).is_some().then_some(words)
}

/// The command without what stands before the program; `cargo run` as what it runs.
fn started(words: &[String]) -> Vec<String> {
    let is_setting = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let is_keyword =
        |word: &String| ["do", "then", "else", "!", "exec", "sudo"].contains(&word.as_str());
    let mut words: Vec<String> =
        words.iter().skip_while(|word| is_setting(word) || is_keyword(word)).cloned().collect();
    if words.starts_with(&["cargo".to_owned(), "run".to_owned()]) {
        let after = words.iter().position(|word| word == "--").unwrap_or(words.len() - 1);
        words.splice(..=after, ["fairway".to_owned()]);
    }
    words
}

/// What a command is called: the program and its verbs. Ours are called by the program that they
/// are (`fairway agent run` is `cluster-agent run`).
pub(super) fn name(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    let Some(whole) = definition(program) else {
        let verb = match program.as_str() {
            "cargo" | "kubectl" | "openssl" | "promtool" | "skopeo" | "systemctl" => verb(rest),
            _ => None,
        };
        let verb = verb.map_or_else(String::new, |verb| format!(" {verb}"));
        return Some(format!("{program}{verb}"));
    };
    let (mut command, mut name) = (&whole, program.clone());
    for word in rest {
        let Some(found) = command.find_subcommand(word) else { break };
        command = found;
        name = match format!("{name} {word}").as_str() {
            "fairway agent" => "cluster-agent".to_owned(),
            "fairway mirror" => "offline-mirror".to_owned(),
            "fairway server" => "update-server".to_owned(),
            name => name.to_owned(),
        };
    }
    Some(name)
}

/// The first word of another program that is no option, nor the namespace that `-n` names.
fn verb(rest: &[String]) -> Option<&String> {
    let before = std::iter::once("").chain(rest.iter().map(String::as_str));
    let plain = rest.iter().zip(before).filter(|(_, before)| *before != "-n");
    plain.map(|(word, _)| word).find(|word| !word.starts_with('-'))
}

fn definition(program: &str) -> Option<Command> {
    let mut command = match program {
        "fairway" => fairway::command(),
        "update-server" => update_server::command(),
        "cluster-agent" => cluster_agent::cli::command(),
        "offline-mirror" => offline_mirror::cli::command(),
        _ => return None,
    };
    command.build();
    Some(command)
}

/// Walks the definitions along the words of one command.
pub(super) fn check(words: &[String]) -> Result<(), String> {
    check_as(words, Form::Whole)
}

/// The same for a command in a sentence, which may leave out what is needed.
pub(super) fn check_in_passing(span: &str) -> Result<(), String> {
    let commands = simple_commands(span);
    let mut ours = commands.iter().filter_map(|words| program(words));
    ours.try_for_each(|words| check_as(&words, Form::InPassing))
}

/// How much of a command is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    InPassing,
}

fn check_as(words: &[String], form: Form) -> Result<(), String> {
    let (program, mut rest) = words.split_first().ok_or("no words")?;
    let whole = definition(program).ok_or("no such program")?;
    let mut command = &whole;
    while command.has_subcommands()
        && let Some((name, after)) = rest.split_first()
        && !name.starts_with('-')
    {
        match command.find_subcommand(name) {
            Some(found) => command = found,
            // Words of its own beside commands, as `fairway graph DIR` and `fairway graph why`.
            None if command.get_positionals().next().is_some() => break,
            None => return Err(format!("{} has no command {name}", command.get_name())),
        }
        rest = after;
    }
    arguments(command, rest, form)
}

fn arguments(command: &Command, words: &[String], form: Form) -> Result<(), String> {
    let mut given: Vec<String> = Vec::new();
    let mut positionals = 0_usize;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == ">" || word == "<" || word == "2>" || word == ">>" {
            words.next();
            continue;
        }
        let Some(option) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            positionals += 1;
            continue;
        };
        let (name, inline) = match option.split_once('=') {
            Some((name, _)) => (name, true),
            None => (option, false),
        };
        let arg = find_option(command, name)
            .ok_or_else(|| format!("{} has no option -{name}", command.get_name()))?;
        given.push(arg.get_id().to_string());
        for _ in 0..if inline { 0 } else { values(arg) } {
            let value = words.next();
            if value.is_none() && form == Form::Whole {
                return Err(format!("-{name} needs a value"));
            }
        }
    }
    let taken = command.get_positionals().count();
    let any_number =
        command.get_positionals().any(|arg| matches!(arg.get_action(), ArgAction::Append));
    if positionals > taken && !any_number {
        return Err(format!("{} takes {taken} words, not {positionals}", command.get_name()));
    }
    match form {
        Form::Whole => missing(command, &given, positionals),
        Form::InPassing => Ok(()),
    }
}

fn find_option<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| match name.strip_prefix('-') {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| name == short.to_string()),
    })
}

/// Words an option takes after it.
fn values(arg: &Arg) -> usize {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes { arg.get_num_args().map_or(1, |range| range.min_values()) } else { 0 }
}

fn missing(command: &Command, given: &[String], positionals: usize) -> Result<(), String> {
    if command.is_subcommand_required_set() {
        return Err(format!("{} needs a command", command.get_name()));
    }
    let required = |arg: &&Arg| arg.is_required_set() && arg.get_env().is_none();
    if command.get_positionals().filter(required).count() > positionals {
        return Err(format!("{} needs more words", command.get_name()));
    }
    let lacking =
        command.get_opts().filter(required).find(|arg| !given.contains(&arg.get_id().to_string()));
    lacking.map_or(Ok(()), |arg| Err(format!("--{} is missing", arg.get_id())))
}

#[test]
fn a_command_is_called_by_its_program_and_its_verbs() {
    for (line, expected) in [
        ("fairway clusters label north ring=a", "fairway clusters label"),
        ("fairway clusters --site north", "fairway clusters"),
        ("fairway graph why DIR 1 2", "fairway graph why"),
        ("fairway graph DIR", "fairway graph"),
        ("fairway agent member run --dir d", "cluster-agent member run"),
        ("kubectl -n fairway-system rollout status deployment/x", "kubectl rollout"),
        ("cargo bench -p signing", "cargo bench"),
        ("install -m 0644 a b", "install"),
    ] {
        assert_eq!(name(&words(line)).as_deref(), Some(expected), "{line}");
    }
}

#[test]
fn indented_commands_are_found_and_prose_in_lists_is_not() {
    let text = "\
To try it:

    fairway token new ci \\
        --access publisher
    curl -s \"$hub\" | jq .

- a list
    whose lines are indented
";
    let found: Vec<(usize, String)> = every_command(text)
        .into_iter()
        .map(|quoted| (quoted.line, quoted.words.join(" ")))
        .collect();
    let expected = [(3, "fairway token new ci --access publisher"), (5, "curl -s $hub")];
    assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn commands_are_found_in_loops_substitutions_and_behind_settings() {
    let text = "\
```sh
FAIRWAY_LOG=debug fairway drift --output json | head # fairway none
for n in 1 2; do fairway agent status \\
    --config a.toml & done
cargo run --release -- demo
fairway agent enroll --token \"$(fairway clusters invite --uses 2)\" --config 'a b'
echo fairway
```
```toml
fairway = 1
```
";
    let found: Vec<(usize, String)> =
        commands(text).into_iter().map(|quoted| (quoted.line, quoted.words.join(" "))).collect();
    let expected = [
        (2, "fairway drift --output json"),
        (3, "fairway agent status --config a.toml"),
        (5, "fairway demo"),
        (6, "fairway clusters invite --uses 2"),
        (6, "fairway agent enroll --token $() --config a b"),
    ];
    let expected: Vec<_> = expected.map(|(line, text)| (line, text.to_owned())).into();
    assert_eq!(found, expected);
}

#[test]
fn what_no_program_takes_is_refused_by_name() {
    for (line, fault) in [
        ("fairway drfit", "fairway has no command drfit"),
        ("fairway drift --colour", "drift has no option --colour"),
        ("fairway drift now", "drift takes 0 words, not 1"),
        ("fairway hold --fleet", "--reason is missing"),
        ("fairway lint", "lint needs more words"),
        ("fairway agent", "agent needs a command"),
        ("update-server serve --listen", "---listen needs a value"),
    ] {
        let found = check(&words(line)).expect_err(line);
        assert!(found.contains(fault.trim_start_matches("--")), "{line}: {found}");
    }
    for line in [
        "fairway agent member run --dir d --unit c1 --id 1 --voters 3 --listen a:1",
        "fairway publish channels -m text",
        "cluster-agent status",
        "fairway hold --release acme/app 1.0.0 --reason text",
    ] {
        check(&words(line)).expect(line);
    }
}
