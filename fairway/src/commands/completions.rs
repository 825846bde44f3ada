//! `fairway completions`: what a shell completes behind `fairway`.

use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "bash: fairway completions bash > /etc/bash_completion.d/fairway\n\
                        zsh:  fairway completions zsh > \"${fpath[1]}/_fairway\"\n\
                        fish: fairway completions fish > ~/.config/fish/completions/fairway.fish")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs, out: &mut Out) -> Result<()> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::command(), "fairway", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| CliError::because("the script is not text", &error))?;
    out.data(&script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::capture;

    #[test]
    fn every_shell_completes_commands_of_every_program() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let (mut out, stdout, _) = capture::out();
            run(&CompletionsArgs { shell }, &mut out).unwrap();
            let text = stdout.text();
            for word in ["explain", "doctor", "token-file", "mirror", "emergency"] {
                assert!(text.contains(word), "{shell:?} lacks {word}");
            }
            assert!(!text.contains("demo-fleet\\tOne"), "{shell:?} offers what is hidden");
        }
    }
}
