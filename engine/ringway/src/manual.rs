//! `ringway completions` and `ringway man`, made from the command line as it is declared.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::flags::Flags;

/// The completions of a shell.
///
/// # Errors
/// Where the shell is not known.
pub fn completions(shell: &str) -> Result<String, String> {
    let shell: Shell = shell.parse().map_err(|_| format!("{shell:?} is no shell that is known here; write bash, zsh or fish"))?;
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Flags::command(), "ringway", &mut out);
    String::from_utf8(out).map_err(|error| error.to_string())
}

/// The manual page of the binary itself.
///
/// # Errors
/// There is none in practice.
pub fn page() -> Result<String, String> {
    let mut out = Vec::new();
    clap_mangen::Man::new(Flags::command()).render(&mut out).map_err(|error| error.to_string())?;
    String::from_utf8(out).map_err(|error| error.to_string())
}

/// Writes a page for the binary and each of its subcommands.
///
/// # Errors
/// Where the folder takes no file.
pub fn write(folder: &Path) -> Result<ExitCode, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    clap_mangen::generate_to(Flags::command(), folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_the_subcommands() {
        for shell in ["bash", "zsh", "fish"] {
            let text = completions(shell).unwrap();
            assert!(text.contains("budgets") && text.contains("--admin-url") | text.contains("admin-url"), "{shell}");
        }
        assert!(completions("cmd").is_err());
    }

    #[test]
    fn the_manual_names_flags_and_subcommands() {
        let text = page().unwrap();
        assert!(text.contains("ringway\\-keys") && text.contains("\\-\\-admin\\-tls\\-cert"), "{text}");
    }
}
