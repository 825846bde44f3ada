//! A list under a top-level key: finding it in the text, adding a line, taking one away.

use super::EditError;

/// Indentation of a list that is written new.
const INDENT: &str = "  ";

/// A text as lines, each with its line break.
#[derive(Debug, Clone)]
pub(super) struct Text {
    lines: Vec<String>,
    line_break: &'static str,
}

/// How a list is written.
#[derive(Debug)]
enum Shape {
    /// `[a, b]` on the key's own line, as byte offsets of the brackets in it.
    Flow { open: usize, close: usize },
    /// One item per line; line numbers of the items.
    Block { items: Vec<usize> },
}

/// One item as written, and what stands behind it on its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The value, without quotes.
    pub(super) value: String,
    /// The comment behind it with the white space before, or nothing.
    pub(super) comment: String,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { lines: text.split_inclusive('\n').map(str::to_owned).collect(), line_break }
    }

    pub(super) fn into_string(self) -> String {
        self.lines.concat()
    }

    /// The line a top-level key stands on.
    pub(super) fn key(&self, key: &str) -> Option<usize> {
        let begins = |line: &String| {
            line.strip_prefix(key)
                .and_then(|rest| rest.strip_prefix(':'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        self.lines.iter().position(begins)
    }

    /// The items of a list; `None` when the key is not there.
    pub(super) fn items(&self, key: &'static str) -> Result<Option<Vec<Item>>, EditError> {
        let Some(at) = self.key(key) else { return Ok(None) };
        match self.shape(key, at)? {
            Shape::Flow { open, close } => {
                let parts = flow_parts(&self.lines[at][open + 1..close]);
                Ok(Some(parts.map(|(_, part)| scalar(part)).collect()))
            }
            Shape::Block { items } => {
                Ok(Some(items.iter().map(|line| scalar(after_dash(&self.lines[*line]))).collect()))
            }
        }
    }

    fn shape(&self, key: &'static str, at: usize) -> Result<Shape, EditError> {
        let style = |line: usize| EditError::Style { key, line: line + 1 };
        let line = &self.lines[at];
        let rest = line[key.len() + 1..].trim_start();
        if rest.starts_with('[') {
            let open = line.len() - rest.len();
            let close = line.find(']').ok_or_else(|| style(at))?;
            let tail = line[close + 1..].trim();
            let odd = line[open + 1..close].contains(['[', '{', '#', '&', '*']);
            if odd || !(tail.is_empty() || tail.starts_with('#')) {
                return Err(style(at));
            }
            return Ok(Shape::Flow { open, close });
        }
        if !(rest.is_empty() || rest.starts_with('#')) {
            return Err(style(at));
        }
        let mut items = Vec::new();
        let mut indent = None;
        for (number, line) in self.lines.iter().enumerate().skip(at + 1) {
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let depth = line.len() - content.len();
            if content.starts_with("- ") && *indent.get_or_insert(depth) == depth {
                items.push(number);
            } else if depth == 0 && !content.starts_with('-') {
                break;
            } else {
                return Err(style(number));
            }
        }
        Ok(Shape::Block { items })
    }

    /// Puts an item into a list so that it is the `place`th, from 0; makes the list when there is
    /// none, indented like `like`, another list of the text.
    pub(super) fn insert(
        &mut self,
        key: &'static str,
        like: &'static str,
        place: usize,
        item: &Item,
    ) -> Result<(), EditError> {
        let Some(at) = self.key(key) else {
            let indent = self.indent_of(like).unwrap_or_else(|| INDENT.to_owned());
            self.append(format!("{key}:"));
            self.append(format!("{indent}- {}{}", item.value, item.comment));
            return Ok(());
        };
        match self.shape(key, at)? {
            Shape::Flow { open, close } => {
                self.insert_flow(at, open, close, place, &item.value);
            }
            Shape::Block { items } => {
                let indent = self.indent_of(key).or_else(|| self.indent_of(like));
                let indent = indent.unwrap_or_else(|| INDENT.to_owned());
                // Behind the item before it: a comment above an item belongs to that item.
                let line = match place.checked_sub(1).and_then(|before| items.get(before)) {
                    Some(before) => before + 1,
                    None => items.first().copied().unwrap_or(at + 1),
                };
                let text = format!("{indent}- {}{}{}", item.value, item.comment, self.line_break);
                self.finish_line(line);
                self.lines.insert(line, text);
            }
        }
        Ok(())
    }

    fn insert_flow(&mut self, at: usize, open: usize, close: usize, place: usize, value: &str) {
        let inner = &self.lines[at][open + 1..close];
        let ends: Vec<usize> =
            flow_parts(inner).map(|(begin, part)| begin + part.trim_end().len()).collect();
        let (offset, text) = match place.checked_sub(1).and_then(|before| ends.get(before)) {
            Some(end) => (open + 1 + end, format!(", {value}")),
            None if ends.is_empty() => (open + 1, value.to_owned()),
            None => (open + 1, format!("{value}, ")),
        };
        self.lines[at].insert_str(offset, &text);
    }

    /// Takes the `place`th item away.
    pub(super) fn remove(&mut self, key: &'static str, place: usize) -> Result<(), EditError> {
        let missing = EditError::Style { key, line: 0 };
        let at = self.key(key).ok_or_else(|| missing.clone())?;
        match self.shape(key, at)? {
            Shape::Flow { open, close } => {
                let inner = &self.lines[at][open + 1..close];
                let parts: Vec<&str> = flow_parts(inner).map(|(_, part)| part.trim()).collect();
                let kept = parts.iter().enumerate().filter(|(index, _)| *index != place);
                let kept: Vec<&str> = kept.map(|(_, part)| *part).collect();
                let kept = kept.join(", ");
                self.lines[at].replace_range(open + 1..close, &kept);
            }
            Shape::Block { items } => {
                let line = *items.get(place).ok_or(missing)?;
                self.lines.remove(line);
                if items.len() == 1 {
                    self.lines[at].insert_str(key.len() + 1, " []");
                }
            }
        }
        Ok(())
    }

    /// Adds a line behind the last line of a block list whose items may be anything.
    pub(super) fn append_item(&mut self, key: &'static str, text: &str) -> Result<(), EditError> {
        let Some(at) = self.key(key) else {
            self.append(format!("{key}:"));
            self.append(format!("{INDENT}- {text}"));
            return Ok(());
        };
        let rest = self.lines[at][key.len() + 1..].trim();
        if !(rest.is_empty() || rest.starts_with('#')) {
            return Err(EditError::Style { key, line: at + 1 });
        }
        let mut last = at;
        for (number, line) in self.lines.iter().enumerate().skip(at + 1) {
            let content = line.trim_start();
            if line.starts_with(|c: char| c != ' ' && c != '-' && c != '#') && !content.is_empty() {
                break;
            }
            if !content.is_empty() && !content.starts_with('#') {
                last = number;
            }
        }
        let indent = self.indent_of(key).unwrap_or_else(|| INDENT.to_owned());
        self.finish_line(last + 1);
        self.lines.insert(last + 1, format!("{indent}- {text}{}", self.line_break));
        Ok(())
    }

    /// Replaces or adds a value of one line under a top-level key, behind the line of `after`.
    pub(super) fn set(
        &mut self,
        key: &'static str,
        after: &'static str,
        value: &str,
    ) -> Result<(), EditError> {
        if let Some(at) = self.key(key) {
            let line = &self.lines[at];
            let old = scalar(&line[key.len() + 1..]);
            let new = format!("{key}: {value}{}{}", old.comment, self.line_break);
            self.lines[at] = new;
            return Ok(());
        }
        let at = self.key(after).ok_or(EditError::Style { key: after, line: 0 })?;
        self.finish_line(at + 1);
        self.lines.insert(at + 1, format!("{key}: {value}{}", self.line_break));
        Ok(())
    }

    fn append(&mut self, line: String) {
        self.finish_line(self.lines.len());
        self.lines.push(line + self.line_break);
    }

    /// Gives the line before `number` a line break, which the last line of a file may lack.
    fn finish_line(&mut self, number: usize) {
        let line_break = self.line_break;
        if let Some(line) = number.checked_sub(1).and_then(|last| self.lines.get_mut(last))
            && !line.ends_with('\n')
        {
            line.push_str(line_break);
        }
    }

    /// White space before the dashes of a block list.
    fn indent_of(&self, key: &str) -> Option<String> {
        let at = self.key(key)?;
        let rest = self.lines.iter().skip(at + 1);
        let mut content = rest.filter(|line| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let first = content.next()?;
        let item = first.trim_start();
        item.starts_with("- ").then(|| first[..first.len() - item.len()].to_owned())
    }
}

fn after_dash(line: &str) -> &str {
    line.trim_start().strip_prefix('-').unwrap_or(line)
}

/// The parts of a flow list between its commas, with their offsets; an empty list has none.
fn flow_parts(inner: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    inner.split(',').filter_map(move |part| {
        let begin = offset;
        offset += part.len() + 1;
        (!part.trim().is_empty()).then_some((begin, part))
    })
}

/// A plain or quoted scalar on one line, and the comment behind it.
fn scalar(text: &str) -> Item {
    let text = text.trim_end();
    let (value, comment) = text.find(" #").map_or((text, ""), |at| {
        let value = text[..at].trim_end();
        (value, &text[value.len()..])
    });
    let value = value.trim();
    let bare = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = bare('"').or_else(|| bare('\'')).unwrap_or(value);
    Item { value: value.to_owned(), comment: comment.to_owned() }
}
