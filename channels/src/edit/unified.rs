//! Unified diffs, as `diff -u` and `git` print them.

use std::fmt::Write as _;
use std::path::Path;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// Most cells of the table in which common lines are found; beyond it, which no file of a channel
/// repository that changes by a few lines comes near, all lines count as changed.
const MAX_CELLS: usize = 4_000_000;

/// One line of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Gone(&'t str),
    New(&'t str),
}

/// The change of one file; empty when there is none. `None` is a file that does not exist.
pub fn unified(file: &Path, before: Option<&str>, after: Option<&str>) -> String {
    let (old, new) = (lines(before), lines(after));
    let script = script(&old, &new);
    let hunks = hunks(&script);
    if hunks.is_empty() {
        return String::new();
    }
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}/{}", file.display()),
        None => "/dev/null".to_owned(),
    };
    let mut text = format!("--- {}\n+++ {}\n", name("a", before), name("b", after));
    for (begin, end) in hunks {
        hunk(&mut text, &script, begin, end);
    }
    text
}

fn lines(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

/// All lines of both texts in order, by a longest common subsequence between what they share at
/// both ends.
fn script<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut script: Vec<Line<'t>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    if a.len().saturating_mul(b.len()) > MAX_CELLS {
        script.extend(a.iter().map(|line| Line::Gone(line)));
        script.extend(b.iter().map(|line| Line::New(line)));
    } else {
        middle(a, b, &mut script);
    }
    script.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    script
}

fn middle<'t>(a: &[&'t str], b: &[&'t str], script: &mut Vec<Line<'t>>) {
    let width = b.len() + 1;
    // common[i * width + j]: lines common to a[i..] and b[j..].
    let mut common = vec![0_usize; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            script.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            script.push(Line::Gone(a[i]));
            i += 1;
        } else {
            script.push(Line::New(b[j]));
            j += 1;
        }
    }
}

/// Stretches of the script around changes, as `begin..end`.
fn hunks(script: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (index, line) in script.iter().enumerate() {
        if matches!(line, Line::Same(_)) {
            continue;
        }
        let (begin, end) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(script.len()));
        match hunks.last_mut() {
            Some(last) if begin <= last.1 => last.1 = end,
            Some(_) | None => hunks.push((begin, end)),
        }
    }
    hunks
}

fn hunk(text: &mut String, script: &[Line<'_>], begin: usize, end: usize) {
    let count = |lines: &[Line<'_>], old: bool| {
        let counted = lines.iter().filter(|line| match line {
            Line::Same(_) => true,
            Line::Gone(_) => old,
            Line::New(_) => !old,
        });
        counted.count()
    };
    let range = |old: bool| {
        let (before, here) = (count(&script[..begin], old), count(&script[begin..end], old));
        // An empty stretch is named by the line before it.
        let first = if here == 0 { before } else { before + 1 };
        if here == 1 { first.to_string() } else { format!("{first},{here}") }
    };
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "@@ -{} +{} @@", range(true), range(false));
    for line in &script[begin..end] {
        let (mark, content) = match line {
            Line::Same(content) => (' ', content),
            Line::Gone(content) => ('-', content),
            Line::New(content) => ('+', content),
        };
        text.push(mark);
        text.push_str(content);
        if !content.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}
